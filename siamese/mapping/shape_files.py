"""Finds files of polygons on disk, in buckets or on the web, and brings them; reads none of their content."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from siamese.errors import SiameseError
from siamese.mapping.remote import WebFile, download_web, find_web, is_web, web_name, web_sha256
from siamese.store import ObjectInfo, ObjectStore, S3Uri, file_sha256

FoundFile = Path | ObjectInfo | WebFile

FORMATS: Final = ".geojson, .json, .gpkg, .fgb, .shp, .osm, .pbf, .parquet"
PARQUET: Final = (".parquet", ".geoparquet", ".pq")
OSM: Final = (".osm", ".pbf")
GEOJSON: Final = (".geojson", ".json")
_OTHERS: Final = (".gpkg", ".fgb", ".shp")
_SHAPEFILE: Final = ".shp"
_SHAPEFILE_NEEDS: Final = (".shx", ".dbf")
"""Without these a shapefile cannot be read."""
_SHAPEFILE_PARTS: Final = (*_SHAPEFILE_NEEDS, ".prj", ".cpg")


@dataclass(frozen=True)
class ShapeSource:
    """A file, object or prefix of polygons, found but not read yet."""

    name: str
    """As the user named it."""
    identity: str
    """Equal identities mean equal polygons."""
    files: tuple[FoundFile, ...] = field(default=())
    beside: tuple[FoundFile, ...] = ()
    """The other files of a shapefile."""


def find_shapes(given: str, option: str, store: ObjectStore) -> ShapeSource:
    """Finds files of polygons without reading them; one on the web is downloaded once for its identity.

    Args:
        given: A file, an object ``s3://…``, a file ``https://…``, or a folder or prefix of GeoParquet files.
        option: The option that named it, for messages.
        store: Object storage.

    Raises:
        SiameseError: There is no such file, it has an unknown format, or a shapefile lacks a part.
        TransientError: The server of a file on the web does not answer.
    """
    where = f"{option} {given}"
    found = _files(given, where, store)
    if not found:
        fix = f"give a file ({FORMATS}) or a folder of GeoParquet files"
        raise SiameseError("no file of polygons here", where=where, fix=fix)
    for file in found:
        _check_format(name_of(file), where)
    beside = _beside(found[0], where, store) if suffix_of(found[0]) == _SHAPEFILE else ()
    return ShapeSource(given, _identity([_digest(one, store) for one in (*found, *beside)]), found, beside)


def bring(source: ShapeSource, file: FoundFile, store: ObjectStore, folder: Path) -> Path:
    """Copies a file to local disk, and the other files of a shapefile beside it; a local one stays where it is."""
    if isinstance(file, Path):
        return file
    path = folder / f"{hashlib.sha256(address_of(file).encode()).hexdigest()[:16]}{suffix_of(file)}"
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(file, WebFile):
        download_web(file, path)
        if _identity([file_sha256(path)]) != source.identity:
            raise SiameseError("has changed since it was found", where=file.url, fix="map again")
        return path
    for one in (file, *source.beside):
        if isinstance(one, ObjectInfo):
            store.download(one.uri, path.with_suffix(suffix_of(one)), version_id=one.version_id)
    return path


def _check_format(name: str, where: str) -> None:
    suffix = Path(name).suffix.lower()
    if suffix not in (*GEOJSON, *OSM, *PARQUET, *_OTHERS):
        raise SiameseError(f"{name} is in no known format", where=where, fix=f"give one of {FORMATS}")


def name_of(file: FoundFile) -> str:
    """Returns the name of a file."""
    match file:
        case Path():
            return file.name
        case ObjectInfo():
            return file.uri.name
        case WebFile():
            return web_name(file.url)


def address_of(file: FoundFile) -> str:
    """Returns the path, s3:// or web address of a file."""
    match file:
        case Path():
            return str(file)
        case ObjectInfo():
            return str(file.uri)
        case WebFile():
            return file.url


def suffix_of(file: FoundFile) -> str:
    """Returns the suffix of a file's name, in lower case."""
    return Path(name_of(file)).suffix.lower()


def _files(given: str, where: str, store: ObjectStore) -> tuple[FoundFile, ...]:
    if given.startswith("s3://"):
        uri = S3Uri.parse(given)
        if uri.key and not uri.key.endswith("/") and (one := store.head(uri)):
            return (one,)
        folder = uri if not uri.key or uri.key.endswith("/") else S3Uri(uri.bucket, f"{uri.key}/")
        return tuple(info for info in store.list(folder) if info.uri.key.lower().endswith(PARQUET))
    if is_web(given):
        _check_format(web_name(given), where)
        return (find_web(given),)
    path = Path(given)
    if not path.exists():
        raise SiameseError("there is no such file", where=where, fix="check the path")
    if not path.is_dir():
        return (path,)
    return tuple(sorted(one for one in path.rglob("*") if suffix_of(one) in PARQUET and one.is_file()))


def _beside(file: FoundFile, where: str, store: ObjectStore) -> tuple[FoundFile, ...]:
    """Returns the other files of a shapefile, in a fixed order."""
    if isinstance(file, WebFile):
        fix = "give it as GeoJSON, GeoPackage or GeoParquet, or copy all its files to a folder or a bucket"
        raise SiameseError("is a shapefile, of which a web address names only one file", where=where, fix=fix)
    found = {ending: one for ending in _SHAPEFILE_PARTS if (one := _part(file, ending, store))}
    if missing := [ending for ending in _SHAPEFILE_NEEDS if ending not in found]:
        what = f"is a shapefile without its {' and '.join(missing)}"
        raise SiameseError(what, where=where, fix="put all files of the shapefile beside it")
    return tuple(found.values())


def _part(file: Path | ObjectInfo, ending: str, store: ObjectStore) -> Path | ObjectInfo | None:
    for written in (ending, ending.upper()):
        if isinstance(file, Path):
            path = file.with_suffix(written)
            if path.is_file():
                return path
        else:
            key = file.uri.key[: -len(_SHAPEFILE)] + written
            if info := store.head(S3Uri(file.uri.bucket, key)):
                return info
    return None


def _digest(file: FoundFile, store: ObjectStore) -> str:
    match file:
        case Path():
            return file_sha256(file)
        case ObjectInfo():
            return f"{file.etag} {file.size}"
        case WebFile():
            return web_sha256(file, store.settings.cache)


def _identity(digests: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def opened_object(info: ObjectInfo, store: ObjectStore) -> BinaryIO:
    """Returns an object as a seekable file that is read in ranges."""
    return _ObjectReader(store, info)


class _ObjectReader(io.RawIOBase, BinaryIO):
    """A seekable file over an object, read in ranges."""

    def __init__(self, store: ObjectStore, info: ObjectInfo) -> None:
        super().__init__()
        self._store, self._info, self._at = store, info, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._info.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._info.size - self._at)
        length = left if size < 0 else min(size, left)
        data = self._store.get(self._info.uri, version_id=self._info.version_id, start=self._at, length=length)
        self._at += len(data)
        return data
