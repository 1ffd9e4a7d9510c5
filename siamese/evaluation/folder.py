"""Scenes of a local folder in xBD's layout, to be evaluated without ingest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from siamese.classes import UNCLASSIFIED
from siamese.errors import SiameseError
from siamese.evaluation.truth import SceneTask, SceneTruth, label_buildings
from siamese.geo import DecodedImage, decode_image
from siamese.ingest.labels import Label, parse_label
from siamese.ingest.names import SceneFile, classify
from siamese.metrics.official import read_raster
from siamese.pairs.masks import training_mask
from siamese.pairs.targets import official_targets
from siamese.params import IngestParams

_ROLES: Final = ("pre_image", "post_image", "pre_label", "post_label")
_DATES: Final[tuple[Literal["pre"], Literal["post"]]] = ("pre", "post")
_FOLDERS: Final = ("images", "labels")
_FIX: Final = "add it, or take the scene away"


@dataclass(frozen=True)
class FolderScenes:
    """The scenes found in a folder."""

    tasks: tuple[SceneTask, ...]
    """Labelled scenes by name."""
    unlabelled: tuple[str, ...]
    """Pairs without labels, which cannot be evaluated."""


def scan_folder(folder: Path) -> FolderScenes:
    """Finds scenes by their file names: flat (``images/``, ``labels/``) or in split folders (``test/images/`` …).

    Reads no file. Where a ``targets/`` folder beside ``images/`` holds a scene's official targets, these are used;
    otherwise targets are drawn from the labels.

    Raises:
        SiameseError: The folder does not exist, holds no labelled scene, or a scene lacks a file or has one twice.
    """
    if not folder.is_dir():
        raise SiameseError("not a folder", where=str(folder), fix="pass a folder with images/ and labels/")
    scenes: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in _files(folder):
        found = classify(path.relative_to(folder).as_posix())
        if not isinstance(found, SceneFile):
            continue
        if found.role in scenes[found.scene]:
            twice = f"also there as {scenes[found.scene][found.role]}"
            raise SiameseError(twice, where=str(path), fix="keep one of them")
        scenes[found.scene][found.role] = path
    unlabelled = tuple(sorted(name for name, files in scenes.items() if set(files) == set(_ROLES[:2])))
    labelled = sorted(scenes.keys() - set(unlabelled))
    if not labelled:
        fix = "it must hold images/NAME_{pre,post}_disaster.png and labels/NAME_{pre,post}_disaster.json"
        raise SiameseError("holds no labelled scenes", where=str(folder), fix=fix)
    return FolderScenes(tuple(_task(name, scenes[name]) for name in labelled), unlabelled)


def _files(folder: Path) -> list[Path]:
    return [
        path
        for kind in _FOLDERS
        for place in (folder / kind, *sorted(folder.glob(f"*/{kind}")))
        if place.is_dir()
        for path in sorted(place.iterdir())
    ]


def _task(scene: str, files: Mapping[str, Path]) -> SceneTask:
    for role in _ROLES:
        if role not in files:
            raise SiameseError(f"has no {role.replace('_', ' ')}", where=scene, fix=_FIX)
    return SceneTask(scene, scene.rpartition("_")[0], partial(_load, dict(files)))


def _load(files: Mapping[str, Path]) -> SceneTruth:
    limits = IngestParams()
    pre, post = (_image(files[role], limits.max_side_px) for role in ("pre_image", "post_image"))
    height, width = post.pixels.shape[:2]
    if pre.pixels.shape[:2] != (height, width):
        what = f"is {width} x {height} px, the pre image {pre.pixels.shape[1]} x {pre.pixels.shape[0]}"
        raise SiameseError(what, where=str(files["post_image"]), fix="pass images of one size")
    before, after = (_label(files[f"{date}_label"], date, width, height, limits.max_vertices) for date in _DATES)
    damaged = [(building.pixels, str(building.subtype)) for building in after.buildings]
    drawn = _given_targets(files, height, width)
    localization, damage = drawn or official_targets((one.pixels for one in before.buildings), damaged, height, width)
    mask = training_mask(damaged, height, width)
    unseen = _unseen(pre, post)
    if unseen is not None:
        mask[unseen] = UNCLASSIFIED
        localization, damage = (np.where(unseen, np.uint8(0), target) for target in (localization, damage))
    buildings = label_buildings(damaged, height, width, unseen)
    what = after.metadata.disaster_type
    return SceneTruth(pre.pixels, post.pixels, mask, localization, damage, buildings, what, unseen)


def _unseen(*images: DecodedImage) -> NDArray[np.bool_] | None:
    hidden = [~image.valid for image in images if image.valid is not None]
    return np.logical_or.reduce(hidden) if hidden else None


def _image(path: Path, max_side_px: int) -> DecodedImage:
    return decode_image(_read(path), str(path), max_side_px=max_side_px)


def _label(path: Path, date: Literal["pre", "post"], width: int, height: int, max_vertices: int) -> Label:
    return parse_label(_read(path), str(path), width=width, height=height, max_vertices=max_vertices, date=date)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SiameseError(f"cannot be read: {error.strerror}", where=str(path), fix="check the file") from error


def _given_targets(files: Mapping[str, Path], height: int, width: int) -> tuple[NDArray[np.uint8], ...] | None:
    folder = files["post_image"].parent.parent / "targets"
    paths = [folder / f"{files[role].stem}_target.png" for role in ("pre_image", "post_image")]
    if not all(path.is_file() for path in paths):
        return None
    return tuple(read_raster(path, height=height, width=width) for path in paths)
