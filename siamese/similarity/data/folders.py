"""Finds images in a folder with one subfolder a class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from siamese.errors import SiameseError
from siamese.params import ItemsParams
from siamese.similarity.data.items import Found, RawItem
from siamese.similarity.data.names import readable

FileKind = Literal["image", "series", "vector"]
"""Kinds of items that have a file each."""
IMAGES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
_ARRAYS = frozenset({".csv", ".npy"})
SUFFIXES: Mapping[FileKind, frozenset[str]] = {"image": IMAGES, "series": _ARRAYS, "vector": _ARRAYS}
FORMATS: Mapping[FileKind, str] = {"image": "PNG, JPEG or TIFF", "series": ".csv or .npy", "vector": ".csv or .npy"}
GENUINE, FORGED = "genuine", "forged"


def find_in_folder(root: Path, params: ItemsParams, kind: FileKind = "image") -> Found:
    """Lists the images, or files of a series or vector each, below a folder; the folder that holds one is its class.

    ``ALPHABET/CHARACTER/01.png``: the folders above the class are its group. ``SIGNER/genuine`` and ``SIGNER/forged``
    are one class, SIGNER, whose forged items are the same as nothing. With ``items.branches: [photo, sketch]`` the
    images of ``CLASS/photo`` and ``CLASS/sketch`` are one class, seen by two encoders.

    Raises:
        SiameseError: There is no such file below it, or they lie in no subfolder.
    """
    found = Found(kind, [])
    for path in sorted(_files(root)):
        name = _named(path, root)
        if path.suffix.lower() not in SUFFIXES[kind]:
            found.refused.append((name, f"is no {FORMATS[kind]}"))
        elif path.parent == root:
            found.refused.append((name, "lies in no subfolder, so its class is unknown"))
        else:
            found.items.append(_item(root, path, params))
    holders = {folder for path in _files(root) for folder in path.parents}
    for folder in sorted(path for path in root.rglob("*") if path.is_dir() and not path.name.startswith(".")):
        if folder not in holders:
            found.refused.append((_named(folder, root) + "/", "is an empty class"))
    if not found.items:
        fix = f"give a folder with one subfolder of {FORMATS[kind]} files a class"
        raise SiameseError(f"holds no {kind} in a subfolder", where=str(root), fix=fix)
    return found


def _files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))


def _named(path: Path, root: Path) -> str:
    return readable(path.relative_to(root).as_posix())


def _item(root: Path, path: Path, params: ItemsParams) -> RawItem:
    folders = [readable(name) for name in path.parent.relative_to(root).parts]
    branch, forged = 0, False
    if len(folders) > 1 and params.branches and folders[-1] in params.branches:
        branch = params.branches.index(folders.pop())
    if len(folders) > 1 and folders[-1] in (GENUINE, FORGED):
        forged = folders.pop() == FORGED
    return RawItem(_named(path, root), "/".join(folders), path, "/".join(folders[:-1]), branch, forged)
