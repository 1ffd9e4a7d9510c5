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
from siamese.progress import progress
from siamese.store import ObjectStore, S3Uri

SUFFIXES: Final = (".json", ".geojson")
_IMAGES: Final = ("image/tiff", "image/png", "image/vnd.stac.geotiff")
_IMAGE_SUFFIXES: Final = (".tif", ".tiff", ".png")
_PREFERRED: Final = ("visual", "ortho_visual", "image", "data", "analytic", "ms_analytic")
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
        wanted: Which items are read.
        store: Object storage.

    Raises:
        SiameseError: It is no STAC document, one it refers to cannot be read, or no item is wanted.
    """
    io = _Reader(store)
    where = given if "://" in given else str(Path(given).resolve())
    try:
        with progress("read STAC items", None) as advance:
            found = []
            for item in _items(where, wanted, io):
                found.append(_image(item, wanted.asset))
                advance(note=item.id)
    except (STACError, STACTypeError, KeyError, ValueError, TypeError, AttributeError, OSError) as error:
        what = f"cannot be read as STAC: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        raise SiameseError(what, where=given, fix="give a STAC item, collection or catalog") from error
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
    for item in catalog.get_items():
        if (item.get_self_href() or item.id) not in seen and _fits(item, wanted):
            seen.add(item.get_self_href() or item.id)
            yield item
    for child in catalog.get_children():
        if _may_hold(child, wanted):
            yield from _within(child, wanted, seen)


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


def _image(item: pystac.Item, key: str | None) -> StacImage:
    asset = item.assets.get(key) if key is not None else _best(item)
    if asset is None:
        there = ", ".join(item.assets) or "none"
        what = f"has no asset {key}" if key is not None else "has no image"
        fix = "set mapping.asset to one of its assets" if item.assets else "leave it out"
        raise SiameseError(f"{what}; its assets: {there}", where=f"STAC item {item.id}", fix=fix)
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


class _Reader(DefaultStacIO):
    """Reads STAC documents from disk, object storage and the web."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__()
        self._store = store

    def read_json(self, source: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        del args, kwargs
        return self.json_loads(self.read_text(source))

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:  # noqa: ANN401
        """Returns the text of a document."""
        del args, kwargs
        href = str(source.get_absolute_href()) if isinstance(source, pystac.Link) else str(source)
        if href.startswith("s3://"):
            return self._store.get(S3Uri.parse(href)).decode()
        if is_web(href):
            return read_web(href).decode()
        return Path(href.removeprefix("file://")).read_text()
