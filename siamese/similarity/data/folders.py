"""Finds images in a folder with one subfolder a class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from siamese.errors import SiameseError
from siamese.params import ItemsParams
from siamese.similarity.data.items import Found, RawItem

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
GENUINE, FORGED = "genuine", "forged"


def find_in_folder(root: Path, params: ItemsParams) -> Found:
    """Lists the images below a folder; the folder that holds an image is its class.

    ``ALPHABET/CHARACTER/01.png``: the folders above the class are its group. ``SIGNER/genuine`` and ``SIGNER/forged``
    are one class, SIGNER, whose forged items are the same as nothing. With ``items.branches: [photo, sketch]`` the
    images of ``CLASS/photo`` and ``CLASS/sketch`` are one class, seen by two encoders.

    Raises:
        SiameseError: There is no image below it, or images lie in no subfolder.
    """
    found = Found("image", [])
    for path in sorted(_files(root)):
        name = path.relative_to(root).as_posix()
        if path.suffix.lower() not in IMAGES:
            found.refused.append((name, "is no PNG, JPEG or TIFF"))
        elif path.parent == root:
            found.refused.append((name, "lies in no subfolder, so its class is unknown"))
        else:
            found.items.append(_item(root, path, params))
    holders = {folder for path in _files(root) for folder in path.parents}
    for folder in sorted(path for path in root.rglob("*") if path.is_dir() and not path.name.startswith(".")):
        if folder not in holders:
            found.refused.append((folder.relative_to(root).as_posix() + "/", "is an empty class"))
    if not found.items:
        fix = "give a folder with one subfolder of images a class"
        raise SiameseError("holds no image in a subfolder", where=str(root), fix=fix)
    return found


def _files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))


def _item(root: Path, path: Path, params: ItemsParams) -> RawItem:
    folders = list(path.parent.relative_to(root).parts)
    branch, forged = 0, False
    if len(folders) > 1 and params.branches and folders[-1] in params.branches:
        branch = params.branches.index(folders.pop())
    if len(folders) > 1 and folders[-1] in (GENUINE, FORGED):
        forged = folders.pop() == FORGED
    name = path.relative_to(root).as_posix()
    return RawItem(name, "/".join(folders), path.read_bytes(), "/".join(folders[:-1]), branch, forged)
