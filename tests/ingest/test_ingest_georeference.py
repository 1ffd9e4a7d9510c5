"""Georeference: the fit finds the map that was there, and says when there is none."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese.geo import DecodedImage
from siamese.ingest.georeference import fit_affine, from_raster

MAPS = st.builds(
    lambda lng, lat, metres, turn, skew: (
        Affine.translation(lng, lat) @ Affine.rotation(turn) @ Affine.shear(skew) @ Affine.scale(metres, -metres)
    ),
    st.floats(-179, 179),
    st.floats(-80, 80),
    st.floats(1e-6, 1e-4),
    st.floats(-45, 45),
    st.floats(-10, 10),
)


@settings(max_examples=100, deadline=None)
@given(MAPS, st.integers(0, 1000))
def test_an_affine_map_is_found_again(true: Affine, seed: int) -> None:
    xy = np.random.default_rng(seed).uniform(0, 1024, (12, 2))
    fit = fit_affine(xy, np.array([true @ tuple(point) for point in xy]))
    assert fit is not None
    found, residual = fit
    corner = ~true @ (found @ (1024.0, 1024.0))
    assert np.allclose(corner, (1024, 1024), atol=1e-3)
    assert residual < 1e-3


def test_the_residual_is_the_worst_point_in_pixels() -> None:
    true = Affine(5e-6, 0, -94, 0, -5e-6, 37)
    xy = np.random.default_rng(1).uniform(0, 1024, (4000, 2))
    lng_lat = np.array([true @ tuple(point) for point in xy])
    lng_lat[7] = true @ (xy[7, 0] + 3, xy[7, 1] + 4)
    fit = fit_affine(xy, lng_lat)
    assert fit is not None
    assert fit[1] == pytest.approx(5, abs=0.02)


@pytest.mark.parametrize(
    "xy",
    [[], [(0, 0)], [(0, 0), (9, 9)], [(0, 0), (5, 5), (9, 9)], [(3, 3)] * 8, [(x, 2 * x + 1) for x in range(1000)]],
    ids=["none", "one", "two", "line", "same", "long line"],
)
def test_points_on_one_line_give_no_map(xy: list[tuple[float, float]]) -> None:
    points = np.array(xy, dtype=float).reshape(-1, 2)
    assert fit_affine(points, points * 1e-5) is None


def test_degrees_on_one_line_give_no_map() -> None:
    xy = np.random.default_rng(1).uniform(0, 1024, (12, 2))
    assert fit_affine(xy, np.repeat(xy[:, :1], 2, axis=1) * 1e-5) is None


def test_three_corners_are_enough() -> None:
    xy = np.array([(0, 0), (10, 0), (0, 10)], dtype=float)
    fit = fit_affine(xy, xy * 1e-5 + 30)
    assert fit is not None
    assert fit[0].almost_equals(Affine(1e-5, 0, 30, 0, 1e-5, 30), precision=1e-9)


def raster(crs: str | None, transform: Affine | None) -> DecodedImage:
    return DecodedImage(np.zeros((100, 200, 3), np.uint8), None, crs, transform)


def test_a_geotiff_in_metres_has_bounds_in_degrees() -> None:
    found = from_raster(raster("EPSG:26915", Affine(0.6, 0, 367_000, 0, -0.6, 4_104_000)))
    assert found is not None
    assert found.pixel_m == pytest.approx(0.6)
    west, south, east, north = found.bounds
    assert -94.6 < west < east < -94.4
    assert 37.0 < south < north < 37.1


def test_a_place_off_the_globe_is_none() -> None:
    assert from_raster(raster("EPSG:4326", Affine(1, 0, 500, 0, -1, 37))) is None
    assert from_raster(raster("no such system", Affine(1, 0, 5, 0, -1, 37))) is None
    assert from_raster(raster(None, None)) is None
