"""Finds imagery in STAC items, collections and static catalogs: local, on object storage, or on the web."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Final

import pystac
from pystac.errors import STACError, STACTypeError
from pystac.stac_io import DefaultStacIO

from siamese.errors import SiameseError
from siamese.geo.globe import Bounds, boxes_touch
from siamese.mapping.remote import is_web, read_web
from siamese.progress import LOGGER, progress
from siamese.store import ObjectStore, S3Uri

SUFFIXES: Final = (".json", ".geojson")
_IMAGES: Final = ("image/tiff", "image/png", "image/vnd.stac.geotiff")
_IMAGE_SUFFIXES: Final = (".tif", ".tiff", ".png")
_PREFERRED: Final = ("visual", "ortho_visual", "image", "data", "analytic", "ms_analytic")
_UNREADABLE: Final = (STACError, STACTypeError, KeyError, ValueError, TypeError, AttributeError, OSError)
_FIX: Final = "give a STAC item, collection or catalog"
_NAMED: Final = 3
"""How many of the items that are left out are named."""
_NO_PICTURES: Final = {"thumbnail", "overview", "metadata", "data-mask", "mask", "cloud", "snow-ice", "water-mask"}


@dataclass(frozen=True)
class Wanted:
    """Which items of a catalog are read."""

    bounds: Bounds | None = None
    """Only items that touch this box in degrees."""
    before: date | None = None
    """Only items taken before this day."""
    since: date | None = None
    """Only items taken on this day or later."""
    asset: str | None = None
    """Key of the asset; None: the visual image, else the first image."""


@dataclass(frozen=True)
class StacImage:
    """The image of one item."""

    item: str
    """Id of the item."""
    address: str
    """Path, s3:// or https:// address of the image."""
    taken: datetime | None
    bands: tuple[str, ...] = ()
    """Common names of its bands, such as red and nir, if the metadata states them."""


def is_stac(given: str) -> bool:
    """Whether an address may be that of a STAC document."""
    return given.lower().split("?")[0].endswith(SUFFIXES)


def find_stac(given: str, wanted: Wanted, store: ObjectStore) -> tuple[StacImage, ...]:
    """Finds the images of a STAC document, the most recent ones first.

    Args:
        given: Path, s3:// or https:// address of an item, a collection, a catalog, or a collection of items.
        wanted: Which items are read; those of them without an image are left out, with a warning.
        store: Object storage.

    Raises:
        SiameseError: It is no STAC document, one it refers to cannot be read, no item is wanted, or none has an image.
    """
    io = _Reader(store)
    where = given if "://" in given else str(Path(given).resolve())
    try:
        with progress("read STAC items", None) as advance:
            found, bare = [], []
            for item in _items(where, wanted, io):
                asset = item.assets.get(wanted.asset) if wanted.asset is not None else _best(item)
                if asset is None:
                    bare.append(item)
                else:
                    found.append(_image(item, asset))
                advance(note=item.id)
    except _UNREADABLE as error:
        raise _unreadable(given, error) from error
    if bare and not found:
        raise _no_image(bare, wanted.asset, given)
    if bare:
        more = f" and {len(bare) - _NAMED:,} more" if len(bare) > _NAMED else ""
        names = ", ".join(item.id for item in bare[:_NAMED])
        LOGGER.warning(
            f"{given}: {len(bare):,} of {len(bare) + len(found):,} items are left out, as they have no "
            f"{_wanted_asset(wanted.asset)}: {names}{more}"
        )
    if not found:
        raise SiameseError(
            f"holds no item{_described(wanted)}", where=given, fix="check the area, the date, the address"
        )
    oldest = datetime.min.replace(tzinfo=UTC)
    return tuple(sorted(found, key=lambda one: (one.taken or oldest, one.item), reverse=True))


def check_order(pre: Sequence[datetime | None], post: Sequence[datetime | None]) -> None:
    """Refuses dates that STAC items state and that are the wrong way round.

    Raises:
        SiameseError: Every post image was taken before every pre image.
    """
    before, after = ([one for one in dates if one is not None] for dates in (pre, post))
    if before and after and max(after) < min(before):
        what = f"the post images are of {max(after):%Y-%m-%d}, before the pre images of {min(before):%Y-%m-%d}"
        raise SiameseError(what, where="--pre, --post", fix="swap them")


def _items(where: str, wanted: Wanted, io: _Reader) -> Iterator[pystac.Item]:
    found = io.read_json(where)
    if found.get("type") == "FeatureCollection":
        items = pystac.ItemCollection.from_dict(found)
        for item in items:
            item.set_self_href(item.get_self_href() or where)
        yield from (item for item in items if _fits(item, wanted))
        return
    document = pystac.read_file(where, stac_io=io)
    if isinstance(document, pystac.Item):
        if _fits(document, wanted):
            yield document
    elif isinstance(document, pystac.Catalog):
        yield from _within(document, wanted, set())
    else:
        raise STACError("it is neither an item nor a catalog")


def _within(catalog: pystac.Catalog, wanted: Wanted, seen: set[str]) -> Iterator[pystac.Item]:
    """Yields the items of a catalog and of those below it; a catalog that is linked twice is read once."""
    address = catalog.get_self_href() or catalog.id
    if address in seen:
        return
    seen.add(address)
    # What a document is counts, not what the link to it says: catalogs list others as items, and items as children.
    for found in _linked(catalog):
        if isinstance(found, pystac.Item):
            name = found.get_self_href() or found.id
            if name not in seen and _fits(found, wanted):
                seen.add(name)
                yield found
        elif isinstance(found, pystac.Catalog) and _may_hold(found, wanted):
            yield from _within(found, wanted, seen)


def _linked(catalog: pystac.Catalog) -> Iterator[pystac.STACObject | str | None]:
    """Yields the documents that a catalog lists, those that it calls items first.

    Raises:
        SiameseError: One of them cannot be read.
    """
    for rel in (pystac.RelType.ITEM, pystac.RelType.CHILD):
        for link in catalog.get_links(rel):
            try:
                link.resolve_stac_object(root=catalog.get_root())
            except STACError as error:
                cause = error.__cause__ or error
                if isinstance(cause, SiameseError):
                    raise cause from error
                raise _unreadable(link.get_absolute_href() or link.href, cause) from error
            yield link.target


def _may_hold(child: pystac.Catalog, wanted: Wanted) -> bool:
    """Whether a collection's extent allows for wanted items; its first box covers all others."""
    if wanted.bounds is None or not isinstance(child, pystac.Collection) or not child.extent.spatial.bboxes:
        return True
    return boxes_touch(child.extent.spatial.bboxes[0], wanted.bounds)


def _fits(item: pystac.Item, wanted: Wanted) -> bool:
    if wanted.bounds is not None and item.bbox is not None and not boxes_touch(item.bbox, wanted.bounds):
        return False
    taken = _taken(item)
    if wanted.before is not None and (taken is None or taken >= _day(wanted.before)):
        return False
    return wanted.since is None or (taken is not None and taken >= _day(wanted.since))


def _unreadable(where: str, error: BaseException) -> SiameseError:
    told = next(iter(str(error).splitlines()), "") or type(error).__name__
    if isinstance(error, KeyError):
        told = f"it lacks the field {told}"
    elif isinstance(error, TypeError | AttributeError):
        told = "one of its fields has a type that STAC does not allow"
    elif isinstance(error, OSError) and error.strerror:
        told = error.strerror
    return SiameseError(f"cannot be read as STAC: {told}", where=where, fix=_FIX)


def _no_image(items: Sequence[pystac.Item], key: str | None, given: str) -> SiameseError:
    first = items[0]
    there = ", ".join(first.assets) or "none"
    fix = "set mapping.asset to one of its assets" if first.assets else "give items with an image"
    if len(items) == 1:
        what = f"has no {_wanted_asset(key)}; its assets: {there}"
        return SiameseError(what, where=f"STAC item {first.id}", fix=fix)
    what = f"none of its {len(items):,} items has an {_wanted_asset(key)}; assets of the first, {first.id}: {there}"
    return SiameseError(what, where=given, fix=fix)


def _wanted_asset(key: str | None) -> str:
    return f"asset {key}" if key is not None else "image"


def _image(item: pystac.Item, asset: pystac.Asset) -> StacImage:
    address = asset.get_absolute_href() or asset.href
    return StacImage(item.id, address.removeprefix("file://"), _taken(item), _band_names(asset, item))


def _best(item: pystac.Item) -> pystac.Asset | None:
    pictures = {
        key: asset
        for key, asset in item.assets.items()
        if _is_image(asset) and not {*(asset.roles or ()), key} & _NO_PICTURES
    }
    for key in _PREFERRED:
        if key in pictures:
            return pictures[key]
    for role in ("visual", "data"):
        for asset in pictures.values():
            if role in (asset.roles or ()):
                return asset
    return next(iter(pictures.values()), None)


def _is_image(asset: pystac.Asset) -> bool:
    kind = (asset.media_type or "").split(";")[0].strip().lower()
    return kind in _IMAGES or asset.href.lower().split("?")[0].endswith(_IMAGE_SUFFIXES)


def _band_names(asset: pystac.Asset, item: pystac.Item) -> tuple[str, ...]:
    """Returns the common names of an asset's bands, by STAC 1.1, the eo extension, or the item's bands."""
    fields: dict[str, Any] = asset.extra_fields
    bands = fields.get("bands") or fields.get("eo:bands")
    if not bands:
        return ()
    every = item.properties.get("eo:bands", [])
    found = [every[one] if isinstance(one, int) and one < len(every) else one for one in bands]
    names = [one.get("eo:common_name") or one.get("common_name") or "" for one in found if isinstance(one, dict)]
    return tuple(map(str, names)) if len(names) == len(bands) and any(names) else ()


def _taken(item: pystac.Item) -> datetime | None:
    found = item.datetime or item.common_metadata.start_datetime
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found


def _day(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _described(wanted: Wanted) -> str:
    parts = []
    if wanted.before is not None:
        parts.append(f" from before {wanted.before}")
    if wanted.since is not None:
        parts.append(f" from {wanted.since} or later")
    if wanted.bounds is not None:
        parts.append(" in the area of interest")
    return "".join(parts)


def _address(source: object) -> str:
    return str(source.get_absolute_href()) if isinstance(source, pystac.Link) else str(source)


class _Reader(DefaultStacIO):
    """Reads STAC documents from disk, object storage and the web."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__()
        self._store = store

    def read_json(self, source: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        del args, kwargs
        found: object = self.json_loads(self.read_text(source))
        if not isinstance(found, dict):
            what = (
                f"cannot be read as STAC: it is a JSON {'list' if isinstance(found, list) else 'value'}, not an object"
            )
            raise SiameseError(what, where=_address(source), fix=_FIX)
        return found

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:  # noqa: ANN401
        """Returns the text of a document."""
        del args, kwargs
        href = _address(source)
        if href.startswith("s3://"):
            return self._store.get(S3Uri.parse(href)).decode()
        if is_web(href):
            return read_web(href).decode()
        return Path(href.removeprefix("file://")).read_text()
