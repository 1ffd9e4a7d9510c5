"""Lists the images of a folder or of a prefix of object storage, and decodes them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from siamese.errors import SiameseError
from siamese.geo import decode_image, decode_jpeg, is_jpeg
from siamese.store import ObjectStore, S3Uri

_SUFFIXES: Final = frozenset({".png", ".tif", ".tiff", ".jpg", ".jpeg"})
_SCENE: Final = re.compile(r"(?P<scene>.+)_(?P<date>pre|post)_disaster")
MAX_SIDE_PX: Final = 16_384
"""Images of a wider side are not read."""


@dataclass(frozen=True)
class ImageFile:
    """An image that can be read."""

    name: str
    """Below the folder or prefix."""
    scene: str
    date: Literal["pre", "post", ""]
    read: Callable[[], bytes]


def files_of_folder(folder: Path) -> Iterator[ImageFile]:
    """Yields every PNG, TIFF and JPEG in a folder and the folders below it, in order of name.

    Raises:
        SiameseError: There is no such folder, or it holds no image.
    """
    if not folder.is_dir():
        raise SiameseError("is not a folder", where=str(folder), fix="name a folder, a catalog or an s3:// prefix")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not paths:
        raise SiameseError("holds no PNG, TIFF or JPEG image", where=str(folder), fix="check the path")
    for path in paths:
        name = path.relative_to(folder).as_posix().encode(errors="backslashreplace").decode()
        yield _file(name, path.read_bytes)


def files_of_prefix(prefix: S3Uri, store: ObjectStore) -> Iterator[ImageFile]:
    """Yields every PNG, TIFF and JPEG below a prefix of object storage, in order of name.

    Raises:
        SiameseError: The bucket is missing, or there is no image below the prefix.
    """
    store.check_bucket(prefix)
    found = [info.uri for info in store.list(prefix) if Path(info.uri.name).suffix.lower() in _SUFFIXES]
    if not found:
        raise SiameseError("holds no PNG, TIFF or JPEG image", where=str(prefix), fix="check the prefix")
    for uri in sorted(found, key=str):
        yield _file(str(uri).removeprefix(str(prefix)).lstrip("/"), partial(store.get, uri))


def decode(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decodes a PNG, a TIFF or a JPEG.

    Args:
        data: The whole file.
        name: Name of the file in errors.

    Returns:
        (H, W, bands) uint8, colour in RGB order.

    Raises:
        SiameseError: It is in another format, too large or damaged.
    """
    if is_jpeg(data):
        return decode_jpeg(data, name, max_side_px=MAX_SIDE_PX)
    return decode_image(data, name, max_side_px=MAX_SIDE_PX).pixels


def sha256(data: bytes) -> str:
    """Returns the sha256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _file(name: str, read: Callable[[], bytes]) -> ImageFile:
    stem = name.rpartition(".")[0].rpartition("/")[2]
    scene = _SCENE.fullmatch(stem)
    if scene is None:
        return ImageFile(name, name, "", read)
    date = cast('Literal["pre", "post"]', scene["date"])
    return ImageFile(name, scene["scene"], date, read)
