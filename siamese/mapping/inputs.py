"""What a person calls imagery, as local files: paths, folders, globs and s3:// addresses, each with its identity."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from siamese.errors import SiameseError
from siamese.ingest.catalog import ObjectRef
from siamese.progress import progress
from siamese.store import ObjectInfo, ObjectStore, S3Uri, file_sha256

SUFFIXES = (".png", ".tif", ".tiff")


@dataclass(frozen=True)
class ImageFile:
    """One image on local disk."""

    path: Path
    name: str
    """What the person called it; errors say this."""
    identity: str
    """Its sha256, or the etag of an object that has none: same identity, same bytes."""
    label: Path | None = None
    """The xBD label that lies beside it."""


def fetch_images(given: Sequence[str], date: str, folder: Path, store: ObjectStore) -> tuple[ImageFile, ...]:
    """Finds images and brings those on object storage to local disk.

    An object is read at the version that was found, so that one overwritten meanwhile cannot mix two states.

    Args:
        given: Files, folders, globs, s3:// addresses of objects or of prefixes that end with ``/``.
        date: ``pre`` or ``post``, for messages.
        folder: Where copies of objects go.
        store: Object storage.

    Returns:
        The images in the order given, each folder's by name.

    Raises:
        SiameseError: Nothing was given, or something is missing or holds no image.
    """
    if not given:
        raise SiameseError("no image was given", where=f"--{date}", fix="name a PNG or GeoTIFF, or a folder of them")
    found = [item for one in given for item in (_objects(one, store) if one.startswith("s3://") else _files(one))]
    folder.mkdir(parents=True, exist_ok=True)
    with progress(f"read {date} images", len(found)) as advance:
        images = []
        for number, item in enumerate(found):
            local = item if isinstance(item, Path) else _download(item, folder / f"{number:06d}", store)
            images.append(_image(local, item))
            advance(note=local.name)
    return tuple(images)


def from_reference(reference: ObjectRef, path: Path, store: ObjectStore) -> ImageFile:
    """Brings a catalogued image to local disk: an object of its own or a stretch of an archive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(reference.read(store))
    return ImageFile(path, reference.uri, reference.sha256)


def identity(images: Sequence[ImageFile]) -> str:
    """One identity of several images in their order."""
    return hashlib.sha256("\n".join(image.identity for image in images).encode()).hexdigest()


def _files(given: str) -> Iterator[Path]:
    path = Path(given)
    if any(mark in given for mark in "*?["):
        root = Path(path.anchor) if path.is_absolute() else Path()
        found = sorted(match for match in root.glob(str(path.relative_to(path.anchor))) if match.is_file())
    elif path.is_dir():
        found = sorted(child for child in path.iterdir() if child.suffix.lower() in SUFFIXES and child.is_file())
    else:
        found = [path] if path.is_file() else []
        if not found:
            raise SiameseError("there is no such file or folder", where=given, fix="check the path")
    if not found:
        raise SiameseError("no PNG or GeoTIFF here", where=given, fix="check the path")
    yield from found


def _objects(given: str, store: ObjectStore) -> Iterator[ObjectInfo]:
    uri = S3Uri.parse(given)
    one = store.head(uri) if uri.key and not uri.key.endswith("/") else None
    if one:
        yield one
        return
    prefix = uri if not uri.key or uri.key.endswith("/") else S3Uri(uri.bucket, f"{uri.key}/")
    found = [info for info in store.list(prefix) if info.uri.key.lower().endswith(SUFFIXES)]
    if not found:
        raise SiameseError("no PNG or GeoTIFF here", where=given, fix="check the address")
    for info in found:
        yield store.head(info.uri, info.version_id) or info


def _download(info: ObjectInfo, folder: Path, store: ObjectStore) -> Path:
    path = folder / _safe(info.uri.name)
    store.download(info.uri, path, version_id=info.version_id)
    for label in _label_addresses(info.uri):
        if store.head(label):
            store.download(label, path.with_suffix(".json"))
            break
    return path


def _image(path: Path, item: Path | ObjectInfo) -> ImageFile:
    if isinstance(item, ObjectInfo):
        label = path.with_suffix(".json")
        known = item.sha256 or f"{item.uri} {item.etag}"
        return ImageFile(path, str(item.uri), known, label if label.is_file() else None)
    beside = (path.with_suffix(".json"), path.parent.parent / "labels" / f"{path.stem}.json")
    label_file = next((one for one in beside if path.suffix.lower() == ".png" and one.is_file()), None)
    return ImageFile(path, str(path), file_sha256(path), label_file)


def _label_addresses(uri: S3Uri) -> tuple[S3Uri, ...]:
    stem, dot, suffix = uri.key.rpartition(".")
    if not dot or suffix.lower() != "png":
        return ()
    parent, _, name = stem.rpartition("/")
    above = parent.rpartition("/")[0]
    sibling = f"{above}/labels/{name}.json".lstrip("/")
    return S3Uri(uri.bucket, f"{stem}.json"), S3Uri(uri.bucket, sibling)


def _safe(name: str) -> str:
    """A file name that stays inside its folder, whatever the object is called."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name).lstrip(".") or "image"
