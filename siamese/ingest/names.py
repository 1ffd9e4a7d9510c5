"""Classifies objects and archive members by name: the scene, the file's role in it, and the official split."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, cast

from siamese.ingest.catalog import OfficialSplit, Role

_SCENE_FILE: Final = re.compile(
    r"(?P<disaster>[a-z0-9-]+)_(?P<number>\d{8})_(?P<date>pre|post)_disaster\."
    r"(?:(?P<suffix>png|tif|tiff|json)|(?P<sidecar>prj|wld|(?:tf|tif|tiff|pg|png)wx?|(?:(?:png|tif|tiff)\.)?aux\.xml))",
    re.IGNORECASE,
)
_ARCHIVE: Final = re.compile(r".+\.(tar|tar\.gz|tgz|zip)", re.IGNORECASE)
_PART: Final = re.compile(
    rf"(?P<whole>{_ARCHIVE.pattern})[._-](?:part[._-]?)?(?P<part>[a-z]{{2,3}}|\d{{1,5}})", re.IGNORECASE
)
_OTHER_ARCHIVE: Final = re.compile(r".+\.(z\d\d|7z|rar|tar\.(bz2|xz|zst)|tbz2?|txz|tzst|gz|bz2|xz|zst)", re.IGNORECASE)
_SPLITS: Final = {"train": "train", "tier1": "train", "tier3": "tier3", "test": "test", "hold": "hold"}
_KIND_FOLDERS: Final = {"images", "labels", "targets"}
_MAX_NAME: Final = 1024


@dataclass(frozen=True)
class SceneFile:
    """A file of a scene."""

    scene: str
    role: Role
    split: OfficialSplit | None


@dataclass(frozen=True)
class ArchivePart:
    """An archive, or one part of a split one."""

    archive: str
    """Name without the part's suffix."""
    part: str | None


@dataclass(frozen=True)
class Other:
    """Any other file."""

    role: Literal["ignored", "quarantined"]
    reason: str


def classify(name: str, *, within: str = "") -> SceneFile | ArchivePart | Other:
    """Classifies a file by its name alone.

    Args:
        name: Path below the prefix or within the archive.
        within: Path above it, which may name the official split.

    Returns:
        A scene's file or an archive; or any other file, with the reason: *quarantined* if it was probably meant as
        data, otherwise *ignored*.
    """
    trouble = _unsafe(name)
    if trouble:
        return Other("quarantined", trouble)
    *folders, file = name.removeprefix("./").split("/")
    if not file:
        return Other("ignored", "folder")
    if file.startswith("._") or "__MACOSX" in folders or file in {".DS_Store", "Thumbs.db"}:
        return Other("ignored", "left by the file manager of a desktop")
    if _ARCHIVE.fullmatch(file):
        return ArchivePart(name, None)
    if _OTHER_ARCHIVE.fullmatch(file):
        return Other("quarantined", "an archive of this kind is not read; repack it as .zip, .tar or .tar.gz")
    part = _PART.fullmatch(file)
    if part:
        return ArchivePart(name[: len(name) - len(file)] + part["whole"], part["part"].lower())
    return _image_or_label(file, folders, within)


def split_of_archive(archive: str) -> OfficialSplit | None:
    """Returns the official split in an archive's path: ``hold_images_labels_targets.tar.gz`` or ``hold/images.tar``."""
    *folders, file = archive.split("/")
    return _split(re.split(r"[._-]", file)[0]) or (_split(folders[-1]) if folders else None)


def printable(name: bytes | str) -> str:
    """Returns a name in a form that can always be stored and displayed."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    return text.encode("utf-8", "backslashreplace").decode()[:_MAX_NAME]


def _image_or_label(file: str, folders: list[str], within: str) -> SceneFile | Other:
    kind = folders[-1] if folders else within.rstrip("/").rsplit("/", 1)[-1]
    stem, _, suffix = file.partition(".") if _SCENE_FILE.fullmatch(file) else file.rpartition(".")
    if stem.endswith("_target") or kind == "targets":
        return Other("ignored", "a target: masks are made anew from the labels")
    match = _SCENE_FILE.fullmatch(file)
    if match is None or stem != stem.lower():
        meant = suffix.lower() in {"png", "tif", "tiff"} or "_disaster" in file or kind in {"images", "labels"}
        reason = "the name is not <disaster>_<8 digits>_<pre|post>_disaster.<png|tif|json>"
        return Other("quarantined", reason) if meant else Other("ignored", "no image, label or archive")
    what = "sidecar" if match["sidecar"] else "label" if suffix.lower() == "json" else "image"
    above = [part for part in (*within.split("/"), *folders) if part]
    if above and above[-1] in _KIND_FOLDERS:
        above.pop()
    role = cast("Role", f"{match['date']}_{what}")
    return SceneFile(f"{match['disaster']}_{match['number']}", role, _split(above[-1]) if above else None)


def _split(word: str) -> OfficialSplit | None:
    return cast("OfficialSplit | None", _SPLITS.get(word))


def _unsafe(name: str) -> str | None:
    if name.startswith("/") or "\\" in name or re.match(r"[A-Za-z]:", name):
        return "path traversal: the path is absolute or not one of POSIX"
    if ".." in name.split("/"):
        return "path traversal: the path leaves its folder"
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        return "the name holds control characters"
    return None
