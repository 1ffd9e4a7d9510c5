"""Imagery that only ground control points place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from builders.made_rasters import PLACE, UTM, write
from builders.placed_scenes import (
    COUNTS,
    EXPECTED,
    SIDE,
    Image,
    Map,
    both,
    on_base,
    place,
)
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC

from siamese.errors import SiameseError


def control_points(bend: float = 0, count: int = 5) -> list[GroundControlPoint]:
    """Points over the image; bent ones lie off a straight fit by about so many pixels."""
    places = np.linspace(0, SIDE, count)
    return [
        GroundControlPoint(
            row, col, *(PLACE @ (col + bend * np.sin(row / SIDE * np.pi), row + bend * np.sin(col / SIDE * np.pi)))
        )
        for row in places
        for col in places
    ]


def with_points(folder: Path, scene: dict[str, Image], points: list[GroundControlPoint], crs: str | None) -> list[Path]:
    paths = []
    for date, image in scene.items():
        paths.append(place(folder / f"{date}.tif", image, None, None))
        with rasterio.open(paths[-1], "r+") as dataset:
            dataset.gcps = (points, CRS.from_string(crs) if crs else CRS())
    return paths


def test_straight_ones_place_the_image_as_it_is(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, classes: Callable[..., Any]
) -> None:
    made = map_files(*with_points(tmp_path, scene, control_points(), UTM))
    found, transform = classes(made)
    assert transform.almost_equals(PLACE, 1e-6)
    np.testing.assert_array_equal(found, EXPECTED)
    assert made.warnings == ("2 images placed by ground control points, which a straight fit meets within 0.01 px",)


def test_bent_ones_warp_it(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, classes: Callable[..., Any]
) -> None:
    bend = 6.0
    bent = {}
    rows, cols = np.mgrid[:SIDE, :SIDE].astype(np.float64) + 0.5
    for date, image in scene.items():
        row = np.clip(rows + bend * np.sin(cols / SIDE * np.pi), 0, SIDE - 1).astype(int)
        col = np.clip(cols + bend * np.sin(rows / SIDE * np.pi), 0, SIDE - 1).astype(int)
        bent[date] = image[row, col]
    made = map_files(*with_points(tmp_path, bent, control_points(bend, 9), UTM))
    assert made.counts == COUNTS
    again = on_base(*classes(made))
    assert (again == EXPECTED)[again != 255].mean() > 0.985
    assert (again != 255).mean() > 0.85
    straight = map_files(*both(tmp_path / "straight", bent, UTM, PLACE))
    assert (classes(straight)[0] == EXPECTED).mean() < 0.97, "the warp is what brings it back"
    assert "ground control points, which a straight fit meets within" in made.warnings[0]


def test_in_an_aux_xml_beside_a_png(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, classes: Callable[..., Any]
) -> None:
    points = "".join(
        f'<GCP Id="{n}" Pixel="{one.col}" Line="{one.row}" X="{one.x}" Y="{one.y}"/>'
        for n, one in enumerate(control_points())
    )
    for date, image in scene.items():
        write(tmp_path / f"{date}.png", image, crs=None, driver="PNG")
        aux = f'<PAMDataset><GCPList Projection="{UTM}">{points}</GCPList></PAMDataset>'
        (tmp_path / f"{date}.png.aux.xml").write_text(aux)
    made = map_files(tmp_path / "pre.png", tmp_path / "post.png")
    assert made.crs == UTM
    np.testing.assert_array_equal(classes(made)[0], EXPECTED)


def test_without_a_crs_they_are_coordinates_without_one(
    scene: dict[str, Image], tmp_path: Path, map_files: Map
) -> None:
    paths = with_points(tmp_path, scene, control_points(), None)
    made = map_files(*paths)
    assert (made.crs, made.counts) == (None, COUNTS)
    assert "ground control points but no CRS (name their CRS with --crs" in made.warnings[0]
    assert map_files(*paths, crs=UTM).crs == UTM


def test_what_is_no_use_is_refused_in_one_line(
    scene: dict[str, Image], tmp_path: Path, plain: dict[str, Path], map_files: Map
) -> None:
    line = [GroundControlPoint(n, n, *(PLACE @ (n, n))) for n in (0, 50, 100)]
    mad = [*control_points(), GroundControlPoint(50, 50, PLACE.c + 5000, PLACE.f)]
    flat = with_points(tmp_path / "line", scene, line, UTM)
    wild = with_points(tmp_path / "wild", scene, mad, UTM)
    sensor = RPC(
        height_off=10, height_scale=100, lat_off=37, lat_scale=0.1, line_off=100, line_scale=100, long_off=-94,
        long_scale=0.1, samp_off=100, samp_scale=100, line_num_coeff=[0.0] * 20, line_den_coeff=[1.0] + [0.0] * 19,
        samp_num_coeff=[0.0] * 20, samp_den_coeff=[1.0] + [0.0] * 19,
    )  # fmt: skip
    raw = [place(tmp_path / f"raw/{date}.tif", image, None, None) for date, image in scene.items()]
    for path in raw:
        with rasterio.open(path, "r+") as dataset:
            dataset.rpcs = sensor
    for paths, why in (
        (flat, "pre.tif: has 3 ground control points, too few or all on one line"),
        (wild, "pre.tif: has ground control points that contradict each other by"),
        (raw, "pre.tif: is placed by RPCs alone.*gdalwarp -rpc"),
        ([plain["pre"], raw[1]], "post.tif: is placed by RPCs alone.*gdalwarp -rpc"),
    ):
        with pytest.raises(SiameseError, match=why) as raised:
            map_files(*paths)
        assert "\n" not in str(raised.value)
