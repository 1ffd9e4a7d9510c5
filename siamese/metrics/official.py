"""Folders of predictions and targets in the official file naming: reads, checks, scores and writes them."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from siamese.classes import DAMAGE_CLASSES
from siamese.errors import SiameseError
from siamese.metrics.xview2 import Counts, Raster, count_scene
from siamese.progress import progress

SIDE_PX: Final = 1024
_BROKEN: Final = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
"""The exceptions that Pillow raises for files that are not PNG, or damaged."""

Role = Literal["prediction", "target"]


@dataclass(frozen=True)
class OfficialScene:
    """One scene of the official test or hold set.

    Args:
        subset: ``test`` or ``hold``.
        number: The scene's name in the file names; without an underscore.
    """

    subset: str
    number: str

    def path(self, folder: Path, task: Literal["localization", "damage"], role: Role) -> Path:
        """Returns the path of a raster of this scene in the official naming."""
        return folder / f"{self.subset}_{task}_{self.number}_{role}.png"

    def read(self, folder: Path, role: Role) -> tuple[Raster, Raster]:
        """Reads the localization and damage rasters, (1024, 1024) uint8 in 0..4 each."""
        return (
            read_raster(self.path(folder, "localization", role)),
            read_raster(self.path(folder, "damage", role)),
        )

    def write(self, folder: Path, role: Role, localization: Raster, damage: Raster) -> None:
        """Writes localization and damage as PNG files that the official scorer accepts."""
        Image.fromarray(localization).save(self.path(folder, "localization", role), compress_level=1)
        Image.fromarray(damage).save(self.path(folder, "damage", role), compress_level=1)


def score_folders(predictions: Path, targets: Path, *, workers: int | None = None) -> Counts:
    """Scores a folder of predictions as the official scorer does.

    Every localization target needs its damage target and both predictions; other predictions are ignored.

    Args:
        predictions: Folder of ``{test|hold}_{localization|damage}_{id}_prediction.png``.
        targets: Folder of ``{test|hold}_{localization|damage}_{id}_target.png``.
        workers: Number of scenes processed at once; defaults to one per processor.

    Returns:
        Counts over all scenes.

    Raises:
        SiameseError: Anything the official scorer rejects: a folder or file is missing, a target's name is not
            official, an image is not 1024x1024 8-bit single-band with values 0-4. Also a folder without targets.
    """
    if not predictions.is_dir():
        raise SiameseError("not a folder", where=str(predictions), fix="pass the folder of prediction PNGs")
    scenes = tuple(official_scenes(targets))
    if not scenes:
        fix = "it must hold {test|hold}_localization_ID_target.png and …_damage_ID_target.png"
        raise SiameseError("holds no targets", where=str(targets), fix=fix)

    def count(scene: OfficialScene) -> Counts:
        return count_scene(*scene.read(predictions, "prediction"), *scene.read(targets, "target"))

    total = Counts()
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool, progress("score scenes", len(scenes)) as advance:
        for counts in pool.map(count, scenes):
            total += counts
            advance()
    return total


def official_scenes(targets: Path) -> Iterator[OfficialScene]:
    """Returns the scenes that a folder of targets names, in order of name.

    Raises:
        SiameseError: The folder does not exist, or a PNG in it has no official name.
    """
    if not targets.is_dir():
        raise SiameseError("not a folder", where=str(targets), fix="pass the folder of target PNGs")
    for path in sorted(targets.glob("*.png")):
        match path.stem.split("_"):
            case [("test" | "hold") as subset, "localization", number, "target"]:
                yield OfficialScene(subset, number)
            case [_, "damage", _, "target"]:
                continue  # Found through its localization counterpart, as in the official scorer.
            case _:
                fix = "name it {test|hold}_{localization|damage}_ID_target.png, or move it away"
                raise SiameseError("not an official target name", where=str(path), fix=fix)


def read_raster(path: Path, *, height: int = SIDE_PX, width: int = SIDE_PX) -> Raster:
    """Reads one official PNG.

    Args:
        path: The file.
        height: Required number of rows.
        width: Required number of columns.

    Returns:
        (height, width) uint8 in 0..4; for a palette image, the indices.

    Raises:
        SiameseError: The file is missing, unreadable, or not such a raster.
    """
    if not path.is_file():
        raise SiameseError("does not exist or is not a file", where=str(path), fix="every target needs this file")
    try:
        with Image.open(path, formats=("PNG",)) as image:
            _check_header(image, path, (width, height))
            pixels: NDArray[np.uint8] = np.asarray(image)
    except _BROKEN as error:
        raise SiameseError(f"not a readable PNG: {error}", where=str(path), fix="write it again") from error
    highest = int(pixels.max())
    if highest > len(DAMAGE_CLASSES):
        fix = "0 is background, 1-4 the damage classes"
        raise SiameseError(f"values must be 0-4, found {highest}", where=str(path), fix=fix)
    return pixels


def _check_header(image: Image.Image, path: Path, size: tuple[int, int]) -> None:
    if image.mode not in ("L", "P"):
        what = f"must have one band of 8 bits (uint8), found mode {image.mode}"
        raise SiameseError(what, where=str(path), fix="write it as an 8-bit greyscale PNG")
    if image.size != size:
        what = f"must be {size[0]}x{size[1]} pixels, found {image.size[0]}x{image.size[1]}"
        raise SiameseError(what, where=str(path), fix="predict at the full size of the scene")
