"""Brings data of a person from object storage to a local folder, where they are read like any others."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from siamese.errors import SiameseError
from siamese.progress import progress
from siamese.similarity.data.folders import IMAGES
from siamese.similarity.data.names import stays_below
from siamese.store import ObjectStore, S3Uri
from siamese.tables import read_csv

_FILES = frozenset({".csv", ".npy", ".npz", ".ts"})


@contextmanager
def local_data(reference: str, store: ObjectStore) -> Iterator[Path]:
    """Gives the local path of data; those on object storage are copied for as long as the context lasts.

    Args:
        reference: A path, the ``s3://`` address of a ``.csv``, ``.npy``, ``.npz`` or ``.ts`` file, or an ``s3://``
            prefix, which stands for a folder.
        store: Where the address points to.

    Raises:
        SiameseError: There is nothing at the address.
    """
    if not reference.startswith("s3://"):
        yield Path(reference)
        return
    uri = S3Uri.parse(reference)
    store.check_bucket(uri)
    store.settings.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="siamese-", dir=store.settings.cache) as folder:
        copy = _copy_file if PurePosixPath(uri.key).suffix.lower() in _FILES else _copy_folder
        path = copy(uri, Path(folder), store)
        try:
            yield path
        except SiameseError as error:
            if error.where != str(path):
                raise
            raise SiameseError(error.what, where=reference, fix=error.fix) from error


def _copy_folder(prefix: S3Uri, folder: Path, store: ObjectStore) -> Path:
    below = S3Uri(prefix.bucket, prefix.key.rstrip("/") + "/" * bool(prefix.key))
    listed = [info.uri for info in store.list(below) if not info.uri.key.endswith("/")]
    if not listed:
        raise SiameseError("holds no object", where=str(prefix), fix="check the prefix")
    with progress("copy", len(listed)) as advance:
        for uri in listed:
            name = uri.key.removeprefix(below.key)
            if stays_below(name):
                store.download(uri, folder / name)
            advance(note=name)
    return folder


def _copy_file(uri: S3Uri, folder: Path, store: ObjectStore) -> Path:
    """Copies a file, and what it needs beside it: labels of an array, images that a table of pairs names."""
    path = folder / uri.name
    store.download(uri, path)
    above = S3Uri(uri.bucket, uri.key.rpartition("/")[0])
    names = [f"{path.stem}.labels.npy"] if path.suffix.lower() == ".npy" else _named_images(path)
    for name in names:
        beside = above / name
        if stays_below(name) and store.head(beside) is not None:
            store.download(beside, folder / name)
    return path


def _named_images(path: Path) -> list[str]:
    if path.suffix.lower() != ".csv":
        return []
    try:
        table = read_csv(path.read_bytes())
    except ValueError:  # the reader of tables raises a clearer error
        return []
    cells = {str(cell) for column in ("a", "b") if column in table for cell in table[column]}
    return sorted(cell for cell in cells if PurePosixPath(cell).suffix.lower() in IMAGES)
