"""Writes sample scenes as imagery alone, as it arrives after a disaster: georeferenced GeoTIFFs, and no labels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from affine import Affine

from siamese.errors import SiameseError
from siamese.params import SampleParams
from siamese.progress import progress
from siamese.sample.arrays import Bytes
from siamese.sample.labels import to_degrees
from siamese.sample.plan import Event, ScenePlan, plan_scene
from siamese.sample.scene import picture

_CRS: Final = "EPSG:4326"
_DATES: Final = ("pre", "post")


def write_imagery(folder: Path, params: SampleParams) -> tuple[Path, ...]:
    """Writes the images of a set of synthetic scenes as ``pre/NAME_pre_disaster.tif`` and the same of ``post``.

    Their pixels and places are those of the scenes that :func:`siamese.sample.write_sample` writes with the same
    params. Files that are there already are kept.

    Args:
        folder: Where to write; created if missing.
        params: Number of scenes, seed, and disaster type.

    Returns:
        The files, both dates of a scene one after the other.

    Raises:
        SiameseError: The folder cannot be written.
    """
    event: Event | None = None if params.event == "mixed" else params.event
    files = []
    try:
        for date in _DATES:
            (folder / date).mkdir(parents=True, exist_ok=True)
        with progress("sample imagery", params.scenes) as advance:
            for plan in (plan_scene(index, params.seed, event) for index in range(params.scenes)):
                paths = [folder / date / f"{plan.name}_{date}_disaster.tif" for date in _DATES]
                if not all(path.is_file() for path in paths):
                    drawn = picture(plan, params.seed)
                    for path, image in zip(paths, (drawn.pre, drawn.post), strict=True):
                        _write(path, image, plan)
                files += paths
                advance()
    except OSError as error:
        raise SiameseError(
            f"cannot be written: {error.strerror or error}", where=str(folder), fix="choose another folder"
        ) from error
    return tuple(files)


def _write(path: Path, image: Bytes, plan: ScenePlan) -> None:
    height, width, bands = image.shape
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with rasterio.open(
        temporary, "w", driver="GTiff", width=width, height=height, count=bands, dtype="uint8", photometric="RGB",
        crs=_CRS, transform=transform(plan), compress="deflate", predictor=2,
    ) as target:  # fmt: skip
        target.write(image.transpose(2, 0, 1))
    temporary.replace(path)


def transform(plan: ScenePlan) -> Affine:
    """Returns the transform from (column, row) to longitude and latitude."""
    (west, north), (east, _), (_, south) = to_degrees(plan, np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])).tolist()
    return Affine(east - west, 0, west, 0, south - north, north)
