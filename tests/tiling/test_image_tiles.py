"""Raster tiles show the ground where it lies: read back with the public readers of PMTiles and WebP."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyproj
import pytest
from affine import Affine
from PIL import Image as Pillow
from pmtiles.reader import MmapSource, Reader, all_tiles

from siamese.mapping.grid import Grid
from siamese.mapping.task import Aligned
from siamese.tiling.plane import PIXEL_ZOOM
from siamese.viewing.imagery import pyramid_of, write_date

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Chart:
    """Colours that say where they are: red grows to the right, green down; blue is 200 where there is ground."""

    def __init__(self, grid: Grid, seen: Mask | None = None) -> None:
        self.grid, self.seen = grid, seen

    def read(self, grid: Grid) -> tuple[Image, Mask]:
        """Reads a part of the grid."""
        col, row = (round(value) for value in ~self.grid.transform @ (grid.transform.c, grid.transform.f))
        rows, cols = np.mgrid[row : row + grid.height, col : col + grid.width]
        red, green = cols * 255 / self.grid.width, rows * 255 / self.grid.height
        pixels = np.stack([red, green, np.full(rows.shape, 200)], -1).astype(np.uint8)
        seen = np.ones(rows.shape, bool) if self.seen is None else self.seen[rows, cols]
        return pixels, seen


def tiles(path: Path) -> dict[tuple[int, int, int], Image]:
    with path.open("rb") as file:
        found = {
            key: np.asarray(Pillow.open(io.BytesIO(data)).convert("RGBA")) for key, data in all_tiles(MmapSource(file))
        }
        assert len(found) == Reader(MmapSource(file)).header()["tile_entries_count"]
    return found


def shown(found: dict[tuple[int, int, int], Image], zoom: int, lng: float, lat: float) -> list[int]:
    """Colour of the tiles at a place."""
    x, y = lng / 360 + 0.5, 0.5 - np.arcsinh(np.tan(np.radians(lat))) / (2 * np.pi)
    col, row = x % 1 * 2**zoom, y * 2**zoom
    tile = found[zoom, int(col), int(row)]
    colour: list[int] = tile[int(row % 1 * 512), int(col % 1 * 512)].tolist()
    return colour


GRIDS = {
    "north": Grid("EPSG:32615", Affine(0.5, 0, 400_000, 0, -0.5, 4_100_000), 700, 500),
    "south": Grid("EPSG:32760", Affine(0.5, 0, 340_000, 0, -0.5, 7_900_000), 700, 500),
    "antimeridian": Grid("EPSG:32601", Affine(2, 0, 181_400, 0, -2, 2_000_000), 700, 500),
    "state plane": Grid("EPSG:2236", Affine(1.6, 0, 900_000, 0, -1.6, 500_000), 700, 500),
}


@pytest.mark.parametrize("name", list(GRIDS))
def test_ground_lies_where_it_is(name: str, tmp_path: Path) -> None:
    grid = GRIDS[name]
    write_date(tmp_path / "pre.pmtiles", grid, Chart(grid), {"name": "chart"})
    found = tiles(tmp_path / "pre.pmtiles")
    pyramid = pyramid_of(grid)
    assert {zoom for zoom, _, _ in found} == set(range(pyramid.coarsest, pyramid.finest + 1))
    if name == "antimeridian":
        assert {col for zoom, col, _ in found if zoom == pyramid.finest} >= {0, 2**pyramid.finest - 1}
    to_degrees = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    for zoom in (pyramid.finest, pyramid.finest - 1):
        for col, row in ((100, 60), (350, 250), (650, 450), (20, 480)):
            lng, lat = to_degrees.transform(*(grid.transform @ (col + 0.5, row + 0.5)))
            wanted = col * 255 / grid.width, row * 255 / grid.height, 200
            # One step of colour is about two to three pixels; WebP blurs a little.
            np.testing.assert_allclose(shown(found, zoom, lng, lat)[:3], wanted, atol=4)


def test_shifted_images_are_shown_where_the_others_are(tmp_path: Path) -> None:
    grid = GRIDS["north"]

    class Moved(Chart):
        """Shows everything seven pixels further right and three further down."""

        def read(self, grid: Grid) -> tuple[Image, Mask]:
            return super().read(grid.shifted((-7, -3)))

    write_date(tmp_path / "plain", grid, Chart(grid), {})
    write_date(tmp_path / "aligned", grid, Aligned(Moved(grid), grid, lambda row, col: (7.0, 3.0)), {})
    plain, aligned = (tiles(tmp_path / name) for name in ("plain", "aligned"))
    assert plain.keys() == aligned.keys()
    for key, tile in plain.items():
        both = (tile[..., 3] > 0) & (aligned[key][..., 3] > 0)
        assert np.abs(tile[both].astype(int) - aligned[key][both]).mean() < 1


def test_pixels_of_imagery_without_a_place_are_those_of_tiles(tmp_path: Path) -> None:
    grid = Grid(None, Affine.identity(), 900, 600)
    write_date(tmp_path / "pre.pmtiles", grid, Chart(grid), {})
    found = tiles(tmp_path / "pre.pmtiles")
    middle = 2 ** (PIXEL_ZOOM - 1)
    for col, row in ((0, 0), (511, 300), (512, 300), (899, 599)):
        tile = found[PIXEL_ZOOM, middle + col // 512, middle + row // 512]
        np.testing.assert_allclose(tile[row % 512, col % 512, :3], (col * 255 / 900, row * 255 / 600, 200), atol=4)
    assert tile[(599 % 512) + 1, 0, 3] == 0, "nothing below the image"


def test_ground_that_is_not_seen_is_clear_and_does_not_darken(tmp_path: Path) -> None:
    grid = GRIDS["north"]
    seen = np.zeros((grid.height, grid.width), bool)
    seen[100:400, 100:300] = True
    write_date(tmp_path / "pre.pmtiles", grid, Chart(grid, seen), {})
    found = tiles(tmp_path / "pre.pmtiles")
    for (zoom, _, _), tile in found.items():
        there = tile[..., 3] > 0
        assert there.any()
        assert tile[there][:, 2].min() > 185, zoom
    share = sum((tile[..., 3] > 0).sum() for (zoom, _, _), tile in found.items() if zoom == pyramid_of(grid).finest)
    pixel_m = 2 * np.pi * 6_378_137 * np.cos(np.radians(37.04)) / 512 / 2 ** pyramid_of(grid).finest
    assert share * pixel_m**2 == pytest.approx(300 * 200 * 0.25, rel=0.02)


def test_nothing_seen_writes_no_archive(tmp_path: Path) -> None:
    grid = GRIDS["north"]
    nothing = Chart(grid, np.zeros((grid.height, grid.width), bool))
    assert write_date(tmp_path / "pre.pmtiles", grid, nothing, {}) == 0
    assert not (tmp_path / "pre.pmtiles").exists()


def test_the_same_images_give_the_same_bytes(tmp_path: Path) -> None:
    grid = GRIDS["north"]
    for name in ("one", "two"):
        write_date(tmp_path / name, grid, Chart(grid), {"name": "chart"})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
