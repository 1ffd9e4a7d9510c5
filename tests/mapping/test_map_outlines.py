"""Outlines as people draw them: straight walls, right angles, neighbours apart, however a map is cut into windows."""

from __future__ import annotations

from pathlib import Path

import cv2
import geopandas as gpd
import numpy as np
import pytest
import shapely
from builders.made_rasters import SMALL, Colours, draw, pair, write
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio import features

from siamese.mapping.outlines import REACH_PX, apart, drawn
from siamese.model import Decision


def edges(*masks: np.ndarray) -> np.ndarray:
    """Outlines along the pixels of masks."""
    found = []
    for mask in masks:
        shapes = [shapely.geometry.shape(one) for one, value in features.shapes(mask.astype(np.uint8)) if value]
        found.append(shapely.union_all(shapes))
    return several(*found)


def several(*shapes: shapely.Geometry) -> np.ndarray:
    out = np.empty(len(shapes), object)
    out[:] = shapes
    return out


def turned(points: list[tuple[float, float]], degrees: float, ragged: int = 0) -> np.ndarray:
    """A mask of a polygon that is turned about its middle, with some pixels of its edge missing."""
    angle = np.radians(degrees)
    axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = (np.array(points) - 20) @ axes.T + 50
    mask = np.zeros((100, 100), np.uint8)
    cv2.fillPoly(mask, [np.rint(corners * 16).astype(np.int32)], 1, shift=4)
    rng = np.random.default_rng(ragged)
    edge = cv2.dilate(mask, np.ones((3, 3), np.uint8)) & (rng.random(mask.shape) < 0.3) if ragged else 0
    return mask | edge


L_SHAPE = [(0.0, 0.0), (40.0, 0.0), (40.0, 16.0), (18.0, 16.0), (18.0, 38.0), (0.0, 38.0)]


@pytest.mark.parametrize("degrees", [0, 17, 45, 80])
@pytest.mark.parametrize(("points", "corners"), [([(0, 0), (40, 0), (40, 25), (0, 25)], 4), (L_SHAPE, 6)])
def test_a_ragged_roof_gets_the_corners_that_it_has(
    points: list[tuple[float, float]], corners: int, degrees: float
) -> None:
    mask = turned(points, degrees, ragged=3)
    (found,) = drawn(edges(mask))
    assert len(found.exterior.coords) == corners + 1
    assert all(abs(angle - 90) < 1 for angle in angles(found))
    plain = edges(turned(points, degrees))[0]
    assert found.intersection(plain).area / found.union(plain).area > 0.88


def test_pixels_that_are_rectangles_stay_as_they_are() -> None:
    boxes = several(shapely.box(3, 4, 23, 14), shapely.box(0, 0, 2, 30), shapely.box(5, 5, 7, 7))
    for one, other in zip(drawn(boxes), boxes, strict=True):
        assert one.equals_exact(other, 1e-6) or one.equals(other)


def test_parts_that_touch_at_a_corner_become_one_roof_and_spurs_go() -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[10:40, 10:40] = 1
    mask[40:43, 40:43] = 1
    mask[25, 40:58] = 1
    (found,) = drawn(edges(mask))
    assert isinstance(found, shapely.Polygon)
    assert found.bounds == pytest.approx((10, 10, 40, 40), abs=1.5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_whatever_the_pixels_outlines_are_valid_and_stay_near(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.random((64, 64)).astype(np.float32), (0, 0), float(rng.uniform(1, 5)))
    count, labels = cv2.connectedComponents((noise > np.quantile(noise, 0.6)).astype(np.uint8), connectivity=8)
    whole = [labels == number for number in range(1, count) if (labels == number).sum() > 3]
    shapes = edges(*whole)
    made = drawn(shapes)
    assert shapely.is_valid(made).all()
    assert not shapely.is_empty(made).any()
    for one, other in zip(made, shapes, strict=True):
        assert other.buffer(REACH_PX, join_style="mitre").covers(one)


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 90), st.floats(0, 90), st.floats(8, 19))
def test_neighbours_that_overlap_share_a_wall(one_degrees: float, other_degrees: float, off: float) -> None:
    box = shapely.box(0, 0, 20, 14)
    one = shapely.affinity.rotate(box, one_degrees)
    other = shapely.affinity.translate(shapely.affinity.rotate(box, other_degrees), off, off / 3)
    left, right = apart(one, one, other), apart(other, other, one)
    assert left.is_valid
    assert right.is_valid
    assert left.intersection(right).area < 0.05 * one.intersection(other).area + 0.1
    assert left.area + right.area > 0.8 * one.union(other).area


def test_outlines_do_not_depend_on_how_the_map_is_cut(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    noise = cv2.GaussianBlur(rng.random((240, 300)).astype(np.float32), (0, 0), 4)
    pre, post = pair(240, 300)
    pre[..., 0] = np.select([noise > 0.53, noise > 0.5], [250, 190], 60)
    paths = [write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)]
    network = Colours(Decision(building_peak=0.7, growth_px=7))
    found = []
    for tile in (64, 96, 320):
        params = SMALL.model_copy(update={"tile_px": tile, "overlap_px": 0})
        made = draw(*paths, tmp_path / str(tile), params, network)
        found.append(gpd.read_parquet(made.buildings).set_index("id").sort_index())
    assert len(found[0]) > 20
    for other in found[1:]:
        assert found[0].index.tolist() == other.index.tolist()
        assert found[0].geometry.geom_equals_exact(other.geometry, 1e-6).all()
    metres = found[0].to_crs("EPSG:32615").geometry
    one, other = metres.sindex.query(metres, predicate="overlaps")
    assert (metres.iloc[one].intersection(metres.iloc[other], align=False).area < 0.25).all()


def angles(outline: shapely.Polygon) -> list[float]:
    """Angles between the walls of an outline, in degrees."""
    ring = np.asarray(outline.exterior.coords)[:-1]
    after, before = np.roll(ring, -1, axis=0) - ring, ring - np.roll(ring, 1, axis=0)
    cosine = (after * before).sum(axis=1) / np.hypot(*after.T) / np.hypot(*before.T)
    return [float(one) for one in np.degrees(np.arccos(np.clip(cosine, -1, 1)))]
