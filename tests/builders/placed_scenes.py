"""One scene on the ground, to be written as users have it: turned, in degrees, with files beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import Resampling, reproject

from builders.made_rasters import PLACE, UTM
from siamese.manifests import DamageMap

SIDE = 200
BUILDINGS = ((20, 20, 30, 40, 0), (60, 85, 40, 30, 3), (130, 40, 24, 24, 1), (140, 150, 30, 36, 2))
"""The second one lies over the middle column."""
EXPECTED = np.zeros((SIDE, SIDE), np.uint8)
for _row, _col, _tall, _wide, _damage in BUILDINGS:
    EXPECTED[_row : _row + _tall, _col : _col + _wide] = _damage + 1
COUNTS = {"no_damage": 1, "minor_damage": 1, "major_damage": 1, "destroyed": 1, "unknown": 0}
DEGREE = 0.5 / 111_320
Image = npt.NDArray[np.uint8]
Map = Callable[..., DamageMap]


def place(path: Path, image: Image, crs: str | None, transform: Affine | None, **more: object) -> Path:
    """Writes a GeoTIFF with whatever of a georeference is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {key: value for key, value in (("crs", crs), ("transform", transform)) if value is not None}
    height, width, bands = image.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=bands, dtype=image.dtype, **profile, **more
    ) as out:
        out.write(np.moveaxis(image, -1, 0))
    return path


def both(folder: Path, scene: dict[str, Image], crs: str | None, transform: Affine | None) -> list[Path]:
    """Both dates at one place."""
    return [place(folder / f"{date}.tif", image, crs, transform) for date, image in scene.items()]


def turned(image: Image, angle: float, across: float = 0.5, down: float = 0.5) -> tuple[Image, Affine]:
    """The same ground in an image along another track, black around."""
    side = np.array([across, down])
    width, height = (int(n) for n in np.ceil(SIDE * 0.5 * 1.45 / side))
    middle = Affine.translation(*(PLACE @ (SIDE / 2, SIDE / 2)))
    transform = (
        middle @ Affine.rotation(angle) @ Affine.scale(across, -down) @ Affine.translation(-width / 2, -height / 2)
    )
    out = np.zeros((3, height, width), np.uint8)
    reproject(
        np.moveaxis(image, -1, 0), out, src_crs=UTM, src_transform=PLACE, dst_crs=UTM, dst_transform=transform,
        resampling=Resampling.nearest,
    )  # fmt: skip
    return np.moveaxis(out, 0, -1), transform


def on_base(found: Image, transform: Affine, crs: str = UTM) -> Image:
    """A class raster on the pixels of the base map."""
    out = np.full((SIDE, SIDE), 255, np.uint8)
    reproject(
        found, out, src_crs=crs, src_transform=transform, dst_crs=UTM, dst_transform=PLACE, src_nodata=255,
        dst_nodata=255, resampling=Resampling.nearest,
    )  # fmt: skip
    return out


def world(transform: Affine) -> str:
    """What a world file holds: the middle of the first pixel."""
    x, y = transform @ (0.5, 0.5)
    return "\n".join(map(repr, (transform.a, transform.d, transform.b, transform.e, x, y)))


PRJ = CRS.from_string(UTM).to_wkt(version="WKT1_ESRI")
AUX = (
    f"<PAMDataset><SRS>{CRS.from_string(UTM).to_wkt().replace('<', '')}</SRS>"
    f"<GeoTransform>{PLACE.c}, {PLACE.a}, 0, {PLACE.f}, 0, {PLACE.e}</GeoTransform></PAMDataset>"
)


def across(image: Image, kind: str) -> Iterator[tuple[Image, str, Affine]]:
    """The same ground with the antimeridian through its middle, as tiles: image, crs, transform."""
    half, degrees = SIDE // 2, Affine.scale(DEGREE, -DEGREE)
    west, east = image[:, :half], image[:, half:]
    left = 180 - half * DEGREE
    if kind == "±180":
        yield west, "EPSG:4326", Affine.translation(left, -17) @ degrees
        yield east, "EPSG:4326", Affine.translation(-180, -17) @ degrees
    elif kind == "0..360":
        yield west, "EPSG:4326", Affine.translation(left, -17) @ degrees
        yield east, "EPSG:4326", Affine.translation(180, -17) @ degrees
    elif kind == "beyond -180":
        yield west, "EPSG:4326", Affine.translation(left - 360, -17) @ degrees
        yield east, "EPSG:4326", Affine.translation(-180, -17) @ degrees
    elif kind == "one image":
        yield image, "EPSG:4326", Affine.translation(left, -17) @ degrees
    elif kind == "one image, west":
        yield image, "EPSG:4326", Affine.translation(left - 360, -17) @ degrees
    elif kind == "Web Mercator":
        pixel, edge, y = 0.5, 20_037_508.342789244, -1_920_000.0
        yield west, "EPSG:3857", Affine(pixel, 0, edge - half * pixel, 0, -pixel, y)
        yield east, "EPSG:3857", Affine(pixel, 0, -edge, 0, -pixel, y)
    elif kind.startswith("zone"):
        epsg = {"zone 1": "EPSG:32701", "zone 60": "EPSG:32760"}[kind]
        xs, ys = rasterio.warp.transform("EPSG:4326", epsg, [180.0], [-17.0])
        yield image, epsg, Affine(0.5, 0, round(xs[0]) - half * 0.5, 0, -0.5, round(ys[0]))
