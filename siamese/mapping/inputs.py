"""Input imagery of a map, found first and read later.

Images are paths, folders, globs, s3:// and https:// addresses, STAC items, collections and catalogs, or catalogued
scenes.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from siamese.errors import SiameseError
from siamese.geo import Header, RangedFile, read_header, role_warnings
from siamese.geo.sidecars import sidecar_names, sidecars_among
from siamese.ingest.catalog import ObjectRef, Scene
from siamese.mapping.remote import WebFile, download_web, find_web, is_web, web_identity, web_ranges
from siamese.mapping.stac import Wanted, check_order, find_stac, is_stac
from siamese.progress import LOGGER, progress
from siamese.store import ObjectInfo, ObjectStore, S3Uri, file_sha256

SUFFIXES = (".png", ".tif", ".tiff")
BandOrders = tuple[tuple[int, ...] | None, tuple[int, ...] | None]
"""Positions of the bands to read of the pre and of the post images, counted from 1; None: by their metadata."""
_HEADERS_AT_ONCE = 16


@dataclass(frozen=True)
class FoundImage:
    """An image, local or on object storage, and the xBD label beside it if there is one."""

    name: str
    """Name that the user gave; used in errors."""
    identity: str
    """Its sha256, or the etag of an object without one; equal identities mean equal bytes."""
    source: Path | ObjectInfo | ObjectRef | WebFile
    label: Path | ObjectInfo | None = None
    label_identity: str = ""
    """Identity of the label and all sidecars; equal identities mean the same georeference."""
    beside: tuple[Path | ObjectInfo, ...] = ()
    """Its sidecars: files that georeference it."""
    taken: datetime | None = None
    """When it was taken, if its STAC item states that."""
    bands: tuple[str, ...] = ()
    """Common names of its bands, if its STAC item states them."""


@dataclass(frozen=True)
class ImageFile:
    """One image on local disk."""

    path: Path
    name: str
    identity: str
    label: Path | None = None
    beside: tuple[Path, ...] = ()
    """Its sidecars, under their own names."""
    bands: tuple[str, ...] = ()
    """Common names of its bands, if they are known from elsewhere."""


def find_images(
    given: Sequence[str], date: str, store: ObjectStore, wanted: Wanted | None = None
) -> tuple[FoundImage, ...]:
    """Finds images and determines their identities, without reading any byte of those on object storage.

    Args:
        given: Files, folders, globs, s3:// addresses of objects or of prefixes, https:// addresses of files; or any of
            these of STAC items, collections and catalogs.
        date: ``pre`` or ``post``, for messages.
        store: Object storage.
        wanted: Which items of STAC catalogs are read.

    Returns:
        The images in the order given, those of a folder sorted by name.

    Raises:
        SiameseError: Nothing was given, or something is missing or holds no image.
    """
    if not given:
        raise SiameseError("no image was given", where=f"--{date}", fix="name a PNG or GeoTIFF, or a folder of them")
    neighbours = _Neighbours()
    return tuple(found for one in given for found in _found(one, store, neighbours, wanted or Wanted()))


def _found(given: str, store: ObjectStore, neighbours: _Neighbours, wanted: Wanted) -> Iterator[FoundImage]:
    if is_stac(given):
        for image in find_stac(given, wanted, store):
            (one,) = _found(image.address, store, neighbours, wanted)
            yield replace(one, taken=image.taken, bands=image.bands)
    elif given.startswith("s3://"):
        yield from _found_objects(given, store)
    elif is_web(given):
        file = find_web(given)
        yield FoundImage(given, web_identity(file, store.settings.cache), file)
    else:
        for path in _files(given):
            yield _found_file(path, neighbours)


def catalogued(reference: ObjectRef, taken: str | None = None, member: str = "") -> FoundImage:
    """Returns an image of the scene catalog, which is a separate object or a byte range of an archive.

    Args:
        reference: Where it lies.
        taken: When it was taken, ISO 8601, if the catalog says so.
        member: What to call it among several images of one archive, which share an address.
    """
    name = f"{reference.uri}#{member}" if member else reference.uri
    return FoundImage(name, reference.sha256, reference, taken=_moment(taken))


def scene_images(scenes: Sequence[Scene], date: Literal["pre", "post"]) -> tuple[FoundImage, ...]:
    """Returns the images of several scenes of the catalog, each under a name of its own.

    Args:
        scenes: Scenes with both images.
        date: Which images.
    """
    found = [(one.scene, one.pre_image if date == "pre" else one.post_image) for one in scenes]
    times = [one.pre_date if date == "pre" else one.post_date for one in scenes]
    return tuple(
        catalogued(image, taken, f"{scene}_{date}_disaster" if _is_member(image) else "")
        for (scene, image), taken in zip(found, times, strict=True)
        if image is not None
    )


def _is_member(image: ObjectRef) -> bool:
    return not image.uri.lower().endswith(SUFFIXES)


def _moment(text: str | None) -> datetime | None:
    """Returns a time of the catalog; one without a zone is in UTC."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found


def bring_images(found: Sequence[FoundImage], date: str, folder: Path, store: ObjectStore) -> tuple[ImageFile, ...]:
    """Copies images to local disk; local files stay where they are.

    An object is read at the version that was found, so that a concurrent overwrite cannot mix two states.

    Args:
        found: The images.
        date: ``pre`` or ``post``, for messages.
        folder: Folder for the copies.
        store: Object storage.

    Raises:
        SiameseError: An image has changed since it was found.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with progress(f"read {date} images", len(found)) as advance:
        images = []
        for number, image in enumerate(found):
            images.append(_bring(image, folder / f"{number:06d}", store))
            advance(note=image.name)
    return tuple(images)


def identity(images: Sequence[FoundImage]) -> str:
    """Returns the combined identity of several images, which depends on their order."""
    return hashlib.sha256("\n".join(image.identity for image in images).encode()).hexdigest()


def _files(given: str) -> Iterator[Path]:
    path = Path(given)
    if any(mark in given for mark in "*?["):
        root = Path(path.anchor) if path.is_absolute() else Path()
        matches = sorted(match for match in root.glob(str(path.relative_to(path.anchor))) if match.is_file())
        found = _without_sidecars(matches)
    elif path.is_dir():
        found = sorted(child for child in path.iterdir() if child.suffix.lower() in SUFFIXES and child.is_file())
    else:
        found = [path] if path.is_file() else []
        if not found:
            raise SiameseError("there is no such file or folder", where=given, fix="check the path")
    if not found:
        raise SiameseError("no PNG or GeoTIFF here", where=given, fix="check the path")
    yield from found


def _without_sidecars(paths: Sequence[Path]) -> list[Path]:
    """Removes sidecars from the matches of a glob: ``pre*`` matches ``pre.tif``, but ``pre.tfw`` as well."""
    images = [path for path in paths if path.suffix.lower() in SUFFIXES]
    beside = {str(path.parent / name) for path in images for name in sidecar_names(path.name)}
    return [path for path in paths if str(path.parent / path.name.lower()) not in beside]


class _Neighbours:
    """Names of files in local folders; each folder is listed only once."""

    def __init__(self) -> None:
        self._names: dict[Path, tuple[str, ...]] = {}

    def sidecars(self, path: Path) -> tuple[Path, ...]:
        """Returns the files beside an image that hold its georeference."""
        folder = path.parent
        if folder not in self._names:
            self._names[folder] = tuple(child.name for child in folder.iterdir())
        return tuple(folder / name for name in sidecars_among(path.name, self._names[folder]))


def _found_file(path: Path, neighbours: _Neighbours) -> FoundImage:
    labels = (path.with_suffix(".json"), path.parent.parent / "labels" / f"{path.stem}.json")
    label = next((one for one in labels if path.suffix.lower() == ".png" and one.is_file()), None)
    read_header(path, str(path))  # Before the whole file is read for its sha256.
    try:
        beside = neighbours.sidecars(path)
        place = [file_sha256(one) for one in (*([label] if label else []), *beside)]
        return FoundImage(str(path), file_sha256(path), path, label, " ".join(place), beside)
    except OSError as error:
        raise SiameseError(f"cannot be read: {error.strerror}", where=str(path), fix="check its permissions") from error


def _found_objects(given: str, store: ObjectStore) -> Iterator[FoundImage]:
    uri = S3Uri.parse(given)
    one = store.head(uri) if uri.key and not uri.key.endswith("/") else None
    if one:
        yield _found_object(one, _near(one.uri, store), store)
        return
    prefix = uri if not uri.key or uri.key.endswith("/") else S3Uri(uri.bucket, f"{uri.key}/")
    listed = list(store.list(prefix))
    images = [info for info in listed if info.uri.key.lower().endswith(SUFFIXES)]
    if not images:
        raise SiameseError("no PNG or GeoTIFF here", where=given, fix="check the address")
    folders: dict[str, list[ObjectInfo]] = defaultdict(list)
    for info in listed:
        folders[_folder(info.uri)].append(info)
    for info in images:
        yield _found_object(store.head(info.uri, info.version_id) or info, folders[_folder(info.uri)], store)


def _found_object(info: ObjectInfo, near: Sequence[ObjectInfo], store: ObjectStore) -> FoundImage:
    labels = (store.head(address) for address in _label_addresses(info.uri))
    label = next((one for one in labels if one), None)
    names = {one.uri.name: one for one in near}
    sidecars = [names[name] for name in sidecars_among(info.uri.name, names)]
    beside = tuple(store.head(one.uri, one.version_id) or one for one in sidecars)
    place = " ".join(_known(one) for one in (*([label] if label else []), *beside))
    return FoundImage(str(info.uri), _known(info), info, label, place, beside)


def _near(uri: S3Uri, store: ObjectStore) -> list[ObjectInfo]:
    """Returns objects whose names begin like an image's; none where listing is not permitted."""
    try:
        found = list(store.list(S3Uri(uri.bucket, f"{uri.key.rpartition('.')[0]}.")))
    except SiameseError as error:
        LOGGER.warning(f"{uri}: files beside it, such as world files, cannot be looked for: {error}")
        return []
    return [one for one in found if _folder(one.uri) == _folder(uri)]


def _folder(uri: S3Uri) -> str:
    return uri.key.rpartition("/")[0]


def _known(info: ObjectInfo) -> str:
    return info.sha256 or f"{info.uri} {info.etag}"


def _label_addresses(uri: S3Uri) -> tuple[S3Uri, ...]:
    stem, dot, suffix = uri.key.rpartition(".")
    if not dot or suffix.lower() != "png":
        return ()
    parent, _, name = stem.rpartition("/")
    above = parent.rpartition("/")[0]
    return S3Uri(uri.bucket, f"{stem}.json"), S3Uri(uri.bucket, f"{above}/labels/{name}.json".lstrip("/"))


def _bring(image: FoundImage, folder: Path, store: ObjectStore) -> ImageFile:
    path, label = folder / "image", folder / "label.json"
    match image.source:
        case Path() as path:
            pass
        case ObjectInfo() as info:
            store.download(info.uri, path, version_id=info.version_id)
        case ObjectRef() as reference:
            folder.mkdir(parents=True)
            path.write_bytes(reference.read(store))
        case WebFile() as file:
            download_web(file, path)
    beside = tuple(_bring_beside(one, folder / "beside", store) for one in image.beside)
    match image.label:
        case None:
            return ImageFile(path, image.name, image.identity, beside=beside, bands=image.bands)
        case Path() as label:
            pass
        case ObjectInfo() as info:
            store.download(info.uri, label, version_id=info.version_id)
    return ImageFile(path, image.name, image.identity, label, beside, image.bands)


def _bring_beside(found: Path | ObjectInfo, folder: Path, store: ObjectStore) -> Path:
    if isinstance(found, Path):
        return found
    path = folder / found.uri.name
    store.download(found.uri, path, version_id=found.version_id)
    return path


def check_files(pre: Sequence[str], post: Sequence[str], store: ObjectStore) -> None:
    """Refuses inputs that no network can map, before one is loaded and before any image is read completely.

    Args:
        pre: Names of images before the disaster; see :func:`find_images`.
        post: Names of images after it.
        store: Object storage.

    Raises:
        SiameseError: As :func:`find_images`; or an image was given for both dates, or has an unsupported format or
            type.
    """
    before, after = ([source for one in given for source in _sources(one, store)] for given in (pre, post))
    both = {_address(source) for source in before} & {_address(source) for source in after}
    if both:
        raise _given_twice(min(both), "")
    with ThreadPoolExecutor(_HEADERS_AT_ONCE) as pool:
        list(pool.map(lambda source: _header(FoundImage(_address(source), "", source), store, None), before + after))


def _sources(given: str, store: ObjectStore) -> Iterator[Path | ObjectInfo | WebFile]:
    if is_stac(given):
        return  # Its items are read when its images are looked for.
    if is_web(given):
        yield find_web(given)
        return
    if not given.startswith("s3://"):
        yield from _files(given)
        return
    uri = S3Uri.parse(given)
    one = store.head(uri) if uri.key and not uri.key.endswith("/") else None
    prefix = uri if not uri.key or uri.key.endswith("/") else S3Uri(uri.bucket, f"{uri.key}/")
    yield from [one] if one else (info for info in store.list(prefix) if info.uri.key.lower().endswith(SUFFIXES))


def _address(source: Path | ObjectInfo | WebFile) -> str:
    match source:
        case Path():
            return str(source)
        case WebFile():
            return source.url
    return str(source.uri)


def _given_twice(name: str, other: str) -> SiameseError:
    fix = "give each date its own images; check the globs"
    return SiameseError(f"the same image is given as --pre{other} and --post", where=name, fix=fix)


def check_imagery(
    pre: Sequence[FoundImage],
    post: Sequence[FoundImage],
    store: ObjectStore,
    bands: tuple[int, int] | None = None,
    orders: BandOrders = (None, None),
) -> tuple[str, ...]:
    """Refuses imagery that cannot be mapped, from a few kilobytes of each image.

    Args:
        pre: Images before the disaster.
        post: Images after it.
        store: Object storage.
        bands: Bands that the network takes of the pre and of the post image; None if not known yet.
        orders: Positions of the bands to read.

    Returns:
        Signs that the dates are swapped; see :func:`siamese.geo.role_warnings`.

    Raises:
        SiameseError: An image was given for both dates, has too few bands, or has an unsupported format or type; or all
            post images were taken before all pre images.
    """
    check_order([image.taken for image in pre], [image.taken for image in post])
    contents = {_content(image): image.name for image in pre}
    for image in post:
        if _content(image) in contents:
            before = contents[_content(image)]
            other = "" if before == image.name else f" ({before})"
            raise _given_twice(image.name, other)
    needed = [
        max(order) if order is not None and bands is not None else bands and bands[number]
        for number, order in enumerate(orders)
    ]
    with ThreadPoolExecutor(_HEADERS_AT_ONCE) as pool:
        taken = [
            list(pool.map(lambda image, count=count: _header(image, store, count).taken, images))
            for images, count in zip((pre, post), needed, strict=True)
        ]
    before_dates, after_dates = (
        [(image.name, when) for image, when in zip(images, times, strict=True) if _given_by_name(image)]
        for images, times in zip((pre, post), taken, strict=True)
    )
    return role_warnings(before_dates, after_dates)


def _given_by_name(image: FoundImage) -> bool:
    """Whether an image's name may be checked for its role: the catalog settled those of its scenes already."""
    return not isinstance(image.source, ObjectRef)


def _content(image: FoundImage) -> str:
    match image.source:
        case ObjectInfo() as info:
            return info.sha256 or f"{info.etag} {info.size}"
        case WebFile() as file:
            return file.url
        case _:
            return image.identity


def _header(image: FoundImage, store: ObjectStore, bands: int | None) -> Header:
    match image.source:
        case Path() as path:
            return read_header(path, image.name, bands=bands)
        case ObjectInfo() as info:
            file = RangedFile(_ranges(store, info.uri, info.version_id, 0), info.size)
        case ObjectRef(deflated=int()) as reference:
            return read_header(reference.read(store), image.name, bands=bands)
        case WebFile() as found:
            file = RangedFile(web_ranges(found), found.size)
        case ObjectRef() as reference:
            uri = S3Uri.parse(reference.uri)
            file = RangedFile(_ranges(store, uri, reference.version_id, reference.start), reference.length)
    return read_header(file, image.name, bands=bands)


def _ranges(store: ObjectStore, uri: S3Uri, version_id: str | None, offset: int) -> Callable[[int, int], bytes]:
    return lambda start, length: store.get(uri, version_id=version_id, start=offset + start, length=length)
