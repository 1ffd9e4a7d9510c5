"""Large made-up imagery of two dates, with roofs that a stand-in for a trained network knows by their colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.windows import Window

from siamese.sample.plan import plan_scene
from siamese.sample.scene import picture

Image = npt.NDArray[np.uint8]

GSD_M = 0.5
CRS = "EPSG:32615"
_PLACE = Affine(GSD_M, 0, 400_000, 0, -GSD_M, 4_100_000)
_APART_PX = 0.37, 0.21
"""The second date lies on another grid, as deliveries do, so that it is warped."""
_SCENES = 4
_ROOFS = 40
"""In a scene, as in xBD on average."""
_ROOF = 255, 40, 40


def write_imagery(folder: Path, side_px: int) -> tuple[Path, Path]:
    """Writes both dates as tiled GeoTIFFs, JPEG inside, as agencies publish them.

    Args:
        folder: Where to write.
        side_px: Side in pixels, a multiple of 1024 is whole scenes.

    Returns:
        The paths; existing files are taken as they are.
    """
    paths = folder / f"pre_{side_px}.tif", folder / f"post_{side_px}.tif"
    if all(path.exists() for path in paths):
        return paths
    scenes = [_scene(number) for number in range(_SCENES)]
    for date, path in enumerate(paths):
        place = _PLACE @ Affine.translation(*_APART_PX) if date else _PLACE
        with rasterio.open(path.with_suffix(".part"), "w", **_profile(side_px, place)) as out:
            for number, (row, col) in enumerate(np.ndindex(-(-side_px // 1024), -(-side_px // 1024))):
                height, width = (min(1024, side_px - 1024 * one) for one in (row, col))
                tile = np.rot90(scenes[number % _SCENES][date], number // _SCENES % 4)[:height, :width]
                out.write(np.moveaxis(tile, -1, 0), window=Window(1024 * col, 1024 * row, width, height))
        path.with_suffix(".part").rename(path)
    return paths


def roofs_in(pre: Image) -> npt.NDArray[np.bool_]:
    """Returns ``(H, W)`` where roofs are."""
    red, green = pre[..., 0].astype(np.int16), pre[..., 1].astype(np.int16)
    return np.asarray((red > 200) & (green < 100))


def _scene(number: int) -> tuple[Image, Image]:
    made = picture(plan_scene(number, 1, None), 1)
    pre, post = np.minimum(made.pre, 190), made.post.copy()
    rng = np.random.default_rng(number)
    step = 1024 // 8
    cells = rng.permutation(64)[:_ROOFS]
    for cell in cells:
        row, col = (step * int(one) + int(rng.integers(8, 60)) for one in divmod(int(cell), 8))
        tall, wide = (int(one) for one in rng.integers(20, 44, 2))
        pre[row : row + tall, col : col + wide] = _ROOF
    return pre, post


def _profile(side_px: int, place: Affine) -> dict[str, Any]:
    return {
        "driver": "GTiff",
        "width": side_px,
        "height": side_px,
        "count": 3,
        "dtype": "uint8",
        "crs": CRS,
        "transform": place,
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "jpeg",
        "photometric": "ycbcr",
        "jpeg_quality": 90,
        "bigtiff": "if_safer",
    }
