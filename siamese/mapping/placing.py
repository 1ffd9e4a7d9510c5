"""Opens the images of both dates and places them on the ground."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from affine import Affine
from rasterio.crs import CRS

from siamese.errors import SiameseError
from siamese.geo.georeference import Georeference, Unplaced, find_georeference
from siamese.geo.rectify import rectify
from siamese.geo.sidecars import MOST_BYTES, parse_crs
from siamese.mapping.events import xbd_scene
from siamese.mapping.inputs import BandOrders, ImageFile
from siamese.mapping.tiles import Tile, label_georeference, open_tiles, opened

Place = tuple[str, Affine]
"""crs, and (column, row) to its coordinates."""

_SAME_PX: Final = 0.01
_MERCATOR_M: Final = 40_075_016.685578488
"""Width of the world in Web Mercator."""


@dataclass(frozen=True)
class PlacedImages:
    """Tiles of both dates, either all on the ground or all in pixels."""

    pre: tuple[Tile, ...]
    post: tuple[Tile, ...]
    warnings: tuple[str, ...] = ()
    """Notes for the user about the georeference, one line each."""


def place_images(
    before: Sequence[ImageFile],
    after: Sequence[ImageFile],
    folder: Path,
    bands: tuple[int, int],
    *,
    places: Sequence[Place] = (),
    crs: str | None = None,
    value_range: tuple[float, float] | None = None,
    orders: BandOrders = (None, None),
) -> PlacedImages:
    """Opens the images of both dates and determines where they are on the ground.

    The two images of an xBD scene share one pixel grid, so one fit of its labels is used for both; two fits would
    shift the images against each other. For the same reason, if only one image of a catalogued scene has a
    georeference, both images get it. Of several scenes, each is placed so; without a catalog, names in xBD's form
    show which images belong together.

    Args:
        before: Images before the disaster.
        after: Images after it.
        folder: Folder for images that must be rewritten.
        bands: Number of bands to read for each date.
        places: Georeferences from the catalog, one for each pre image and the post image at its position.
        crs: CRS of images that have coordinates but name no CRS.
        value_range: Values that map to 0 and 255 in imagery wider than 8 bits; None: see :mod:`siamese.geo.values`.
        orders: Positions of the bands to read of each date, counted from 1; None: by the images' metadata.

    Raises:
        SiameseError: An image cannot be read, only some images have a georeference, or images without one are not a
            pair on the same grid.
    """
    if crs is not None:
        parse_crs(crs)
    looked = [[_look(image, folder, crs) for image in images] for images in (before, after)]
    pre, post = (
        open_tiles([image for image, _ in date], folder, count, value_range, order)
        for date, count, order in zip(looked, bands, orders, strict=True)
    )
    found = [[place for _, place in date] for date in looked]
    if places:
        given = [(number, number, place) for number, place in enumerate(places)]
        unknown = [one for one in given if any(isinstance(date[one[0]], Unplaced) for date in found)]
    else:
        scenes = _by_scene(before, after)
        both = [(i, j) for i, j in scenes if all(isinstance(one, Unplaced) for one in (found[0][i], found[1][j]))]
        labels = ((i, j, _from_label(before[i], after[j], pre[i], post[j])) for i, j in both)
        unknown = [(i, j, place) for i, j, place in labels if place]
    for i, j, place in unknown:
        if _same_size(pre[i], post[j]):
            found[0][i] = found[1][j] = Georeference("label", *place)
    unplaced = [
        (tile, place)
        for tiles, date in ((pre, found[0]), (post, found[1]))
        for tile, place in zip(tiles, date, strict=True)
        if isinstance(place, Unplaced)
    ]
    if not unplaced:
        return PlacedImages(_on_ground(pre, found[0]), _on_ground(post, found[1]), _notes(found))
    return _in_pixels(pre, post, unplaced, len(pre) + len(post), crs)


def _look(image: ImageFile, folder: Path, crs: str | None) -> tuple[ImageFile, Georeference | Unplaced]:
    """Returns the image and its georeference; the image is rectified first if its control points need a warp."""
    beside = {path.name: _content(path) for path in image.beside}
    with opened(image.path, image.name) as dataset:
        found = find_georeference(dataset, Path(image.name).name, beside, crs)
        if isinstance(found, Unplaced) or not found.points:
            return image, found
        path = folder / "rectified" / f"{image.identity[:16].replace('/', '_')}.tif"
        flat = rectify(dataset, found, path)
    return replace(image, path=path), flat


def _content(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise SiameseError("is too large to be what its name says", where=str(path), fix="take it away")
    return path.read_bytes()


def _by_scene(before: Sequence[ImageFile], after: Sequence[ImageFile]) -> Iterator[tuple[int, int]]:
    """Yields positions of the pre and the post image of each scene, by their names in xBD's form."""
    if len(before) == len(after) == 1:
        yield 0, 0
        return
    later = {xbd_scene(image.name): number for number, image in enumerate(after)}
    for number, image in enumerate(before):
        scene = xbd_scene(image.name)
        if scene is not None and scene in later:
            yield number, later[scene]


def _from_label(before: ImageFile, after: ImageFile, pre: Tile, post: Tile) -> Place | None:
    if not _same_size(pre, post):
        return None
    size = pre.width, pre.height
    return label_georeference(before, *size) or label_georeference(after, *size)


def _same_size(pre: Tile, post: Tile) -> bool:
    return (pre.width, pre.height) == (post.width, post.height)


def _on_ground(tiles: Sequence[Tile], places: Sequence[Georeference | Unplaced]) -> tuple[Tile, ...]:
    return tuple(
        part
        for tile, found in zip(tiles, places, strict=True)
        if isinstance(found, Georeference)
        for part in _around(replace(tile, crs=found.crs, transform=found.transform))
    )


def _around(tile: Tile) -> tuple[Tile, ...]:
    """Returns a tile that crosses the antimeridian once for either side, since coordinates jump there."""
    crs = CRS.from_user_input(tile.crs)
    period = 360.0 if crs.is_geographic else _MERCATOR_M if crs == CRS.from_epsg(3857) else math.inf
    xs = [
        (tile.transform @ corner)[0]
        for corner in ((0, 0), (tile.width, 0), (tile.width, tile.height), (0, tile.height))
    ]
    pixel = abs(tile.transform.a) + abs(tile.transform.b)
    shifts = [0.0]
    if max(xs) > period / 2 + pixel:
        shifts.append(-period)
    if min(xs) < -period / 2 - pixel:
        shifts.append(period)
    return tuple(replace(tile, transform=Affine.translation(shift, 0) @ tile.transform) for shift in shifts)


def _notes(places: Sequence[Sequence[Georeference | Unplaced]]) -> tuple[str, ...]:
    """Describes how images without an ordinary georeference were placed."""
    told = {
        "gcps": "placed by ground control points",
        "world_file": "placed by a world file",
        "aux_xml": "placed by an .aux.xml file",
    }
    notes = []
    for source, how in told.items():
        residuals = [
            found.residual_px
            for date in places
            for found in date
            if isinstance(found, Georeference) and found.source == source
        ]
        if residuals:
            worst = max((residual for residual in residuals if residual is not None), default=None)
            off = "" if worst is None else f", which a straight fit meets within {max(worst, 0.01):.2g} px"
            notes.append(f"{len(residuals)} image{'s' * (len(residuals) != 1)} {how}{off}")
    return tuple(notes)


def _in_pixels(
    pre: tuple[Tile, ...],
    post: tuple[Tile, ...],
    unplaced: Sequence[tuple[Tile, Unplaced]],
    count: int,
    crs: str | None,
) -> PlacedImages:
    """Returns both dates as one pair without georeference; refuses images whose pixels may not coincide."""
    tile, why = next((one for one in unplaced if not one[1].usable), unplaced[0])
    if not why.usable:
        raise SiameseError(why.why, where=tile.name, fix=why.fix)
    if len(unplaced) < count:
        what = f"{why.why}, while other images have a georeference; it cannot be placed"
        raise SiameseError(what, where=tile.name, fix=why.fix)
    if len(pre) > 1 or len(post) > 1:
        what = f"several images cannot be placed: this one {why.why}"
        fix = why.fix if why.transform else "map such scenes one by one, or give georeferenced GeoTIFFs"
        raise SiameseError(what, where=tile.name, fix=fix)
    transforms = [found.transform for _, found in unplaced if found.transform is not None]
    if len(transforms) == 2 and not _alike(transforms[0], transforms[1], pre[0].width, pre[0].height):
        raise SiameseError(f"{why.why}, and the dates lie on different grids", where=tile.name, fix=why.fix)
    if not _same_size(pre[0], post[0]):
        sizes = f"{pre[0].width} x {pre[0].height} px before, {post[0].width} x {post[0].height} px after"
        what = f"without georeference both dates must have one size: {sizes}"
        fix = why.fix if why.transform else "give images of one size, or georeferenced GeoTIFFs"
        raise SiameseError(what, where=post[0].name, fix=fix)
    fixes = {found.why: found.fix for _, found in reversed(unplaced)}
    reasons = [f"{reason} ({fix})" for reason, fix in fixes.items()]
    unused = f"; the CRS {crs} is not used, as there are no coordinates" if crs is not None else ""
    note = f"the map is in pixels: the imagery {'; '.join(reasons)}{unused}"
    flat = [(replace(tiles[0], crs=None, transform=Affine.identity()),) for tiles in (pre, post)]
    return PlacedImages(flat[0], flat[1], (note,))


def _alike(one: Affine, other: Affine, width: int, height: int) -> bool:
    """Returns whether two transforms place an image's corners within a hundredth of a pixel of each other."""
    offsets = (~one @ (other @ corner) for corner in ((0, 0), (width, 0), (0, height)))
    corners = ((0, 0), (width, 0), (0, height))
    return all(math.dist(off, corner) < _SAME_PX for off, corner in zip(offsets, corners, strict=True))
