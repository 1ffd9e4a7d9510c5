"""Mapping tasks, and their imagery, copied to local disk and placed on the grid of the map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

import shapely

from siamese.mapping.area import Area, AreaSource, crop
from siamese.mapping.footprints import Footprints, place_footprints
from siamese.mapping.grid import Grid, check_overlap, describe_resampling, extent, plan_grid
from siamese.mapping.inputs import BandOrders, FoundImage, bring_images, check_imagery, identity
from siamese.mapping.mosaic import Image, Mask, Mosaic, mosaic
from siamese.mapping.placing import Place, PlacedImages, place_images
from siamese.mapping.shape_files import ShapeSource
from siamese.mapping.shifts import ShiftField
from siamese.mapping.tiles import Tile, value_notes
from siamese.progress import LOGGER
from siamese.store import ObjectStore

PLACES_APART: Final = "\n"
"""Stands between the georeferences of a mosaic's scenes, of which each is one line."""


@dataclass(frozen=True)
class MapTask:
    """A mapping task: the images of both dates and how to read them."""

    pre: tuple[FoundImage, ...]
    post: tuple[FoundImage, ...]
    places: tuple[Place, ...]
    """Georeferences from the catalog, one for each pre image and its post image; empty: taken from the images, or from
    labels beside them."""
    event: str | None
    """None: named after the location of the map."""
    model: str
    """Name of the model to state in the map."""
    disaster_type: str | None
    crs: str | None = None
    """CRS of images that have coordinates but name none."""
    reuse_older: bool = True
    """Whether results that earlier versions of the stages made are taken as they are."""
    area: AreaSource | None = None
    """Area of interest; None: all that the pre images show."""
    footprints: ShapeSource | None = None
    """Outlines of buildings that people gave."""

    @property
    def dates(self) -> tuple[datetime | None, datetime | None]:
        """When the first pre image and the last post image were taken; None where that is not known of every image."""
        before, after = ([image.taken for image in images] for images in (self.pre, self.post))
        known = [[one for one in times if one is not None] for times in (before, after)]
        first = min(known[0]) if len(known[0]) == len(before) else None
        return first, max(known[1]) if len(known[1]) == len(after) else None

    def imagery_inputs(self) -> dict[str, str]:
        """Returns identities of the imagery and what was given with it, which are known before any image is read."""
        labels = (image.label_identity for image in (*self.pre, *self.post))
        place = PLACES_APART.join(map(_told, self.places)) if self.places else " ".join(labels).strip()
        given = {"aoi": self.area, "footprints": self.footprints}
        also = {name: source.identity for name, source in given.items() if source is not None}
        return {"pre": identity(self.pre), "post": identity(self.post), "place": place, **also}


@dataclass(frozen=True)
class Date:
    """The images of one date."""

    mosaic: Mosaic
    identities: tuple[str, ...]
    """Identity of each tile, made from its pixels, its georeference and its mapping to 8 bits."""

    def touching(self, grid: Grid) -> tuple[str, ...]:
        """Returns identities of the tiles that overlap a grid, the topmost first."""
        return tuple(self.identities[number] for number in self.mosaic.touching(grid))


class Images(Protocol):
    """Images that are read on the grid of a map, or on a coarser one of the same ground."""

    def read(self, grid: Grid) -> tuple[Image, Mask]:
        """Returns the pixels ``(h, w, bands)`` uint8, and ``(h, w)`` bool which of them are seen."""
        ...


@dataclass(frozen=True)
class Aligned:
    """The post images, read where they show the ground of the pre images."""

    images: Images
    grid: Grid
    """Grid of the map."""
    shift_at: Callable[[float, float], tuple[float, float]]
    """Gives the pixels of that grid, right and down, by which they are shifted at a row and column of it."""

    def read(self, grid: Grid) -> tuple[Image, Mask]:
        """Reads the pixels of a grid; see :meth:`siamese.mapping.mosaic.Mosaic.read`."""
        col, row = ~self.grid.transform @ (grid.transform @ (grid.width / 2, grid.height / 2))
        right, down = self.shift_at(row, col)
        factor = grid.transform.a / self.grid.transform.a
        return self.images.read(grid.shifted((right / factor, down / factor)))


@dataclass(frozen=True)
class Imagery:
    """Both dates on the grid of a map."""

    grid: Grid
    pre: Date
    post: Date
    corner: tuple[int, int]
    """Row and column of the first pre image's upper left corner in the grid."""
    warnings: tuple[str, ...] = ()
    """Irregularities of the images that were tolerated."""
    area: shapely.Geometry | None = None
    """The area of interest in pixels of the grid."""
    footprints: Footprints | None = None
    shifts: ShiftField | None = None
    """How far the post images show the ground away from where the pre images do; None: they are read as they lie."""

    @property
    def aligned_post(self) -> Images:
        """The post images where they show the ground of the pre images: what a person should be shown beside them."""
        return Aligned(self.post.mosaic, self.grid, self.shift_at) if self.shifts else self.post.mosaic

    def shift_at(self, row: float, col: float) -> tuple[float, float]:
        """Returns by how many pixels, right and down, the post images are shifted at a pixel of the grid."""
        return self.shifts.at(row, col) if self.shifts else (0.0, 0.0)


def open_imagery(
    task: MapTask,
    bands: tuple[int, int],
    folder: Path,
    store: ObjectStore,
    value_range: tuple[float, float] | None = None,
    *,
    gsd: float | None = None,
    footprint_id: str | None = None,
    orders: BandOrders = (None, None),
    grid: Grid | None = None,
) -> Imagery:
    """Copies the images of a task to local disk and lays the grid of its map.

    Args:
        task: The mapping task.
        bands: Bands that the network takes of the pre and of the post image.
        folder: Folder for the copies.
        store: Object storage that may hold the images.
        value_range: Values that map to 0 and 255 in imagery wider than 8 bits; None: see :mod:`siamese.geo.values`.
        gsd: Side of the grid's pixels in metres; None: that of the finer date.
        footprint_id: Column that holds the ids of footprints.
        orders: Positions of the bands to read of each date, counted from 1; None: by the images' metadata.
        grid: The grid of the map, if it is known; by default it is laid over the images.

    Raises:
        SiameseError: An image is missing, damaged or has the wrong bands, only one date has a georeference, or the
            dates show different places; or the area of interest or the footprints cannot be read or lie elsewhere.
    """
    swapped = check_imagery(task.pre, task.post, store, bands, orders)
    before = bring_images(task.pre, "pre", folder / "pre", store)
    after = bring_images(task.post, "post", folder / "post", store)
    placed = place_images(
        before, after, folder, bands, places=task.places, crs=task.crs, value_range=value_range, orders=orders
    )
    warnings = (*swapped, *value_notes(placed.pre, "pre"), *value_notes(placed.post, "post"))
    found = (*task.pre, *task.post)
    identities = {image.name: f"{image.identity} {image.label_identity}" for image in found}
    area = task.area.read(store, folder) if task.area else None
    laid = lay_imagery(placed, identities, area, gsd, grid)
    warnings += (*laid.warnings, *(area.notes if area else ()))
    footprints = None
    if task.footprints:
        footprints, notes = place_footprints(task.footprints, laid.grid, store, folder / "footprints", footprint_id)
        warnings += notes
    for warning in warnings:
        LOGGER.warning(warning)
    return replace(laid, warnings=warnings, footprints=footprints)


def lay_imagery(
    placed: PlacedImages,
    identities: Mapping[str, str],
    area: Area | None = None,
    gsd: float | None = None,
    grid: Grid | None = None,
) -> Imagery:
    """Lays the grid of a map over opened tiles.

    Args:
        placed: Tiles of both dates.
        identities: Identity of each image by name; equal identities mean equal bytes.
        area: Area of interest.
        gsd: Side of the grid's pixels in metres; None: that of the finer date.
        grid: The grid, if it is known.

    Raises:
        SiameseError: See :func:`siamese.mapping.grid.plan_grid`.
    """
    pre, post = placed.pre, placed.post
    if grid is None:
        grid = plan_grid(pre, post, gsd)
        grid = crop(grid, area) if area else grid
        check_overlap(grid, pre, post)
    resampled = describe_resampling(grid, pre, post)
    earlier, later = (
        Date(mosaic(tiles, grid.crs), tuple(_tile_identity(tile, identities[tile.name]) for tile in tiles))
        for tiles in (pre, post)
    )
    left, _, _, top = extent(pre[:1], grid.crs)
    col, row = ~grid.transform @ (left, top) if grid.crs else (0, 0)
    warnings = (*placed.warnings, *([resampled] if resampled else []))
    corner = round(row), round(col)
    return Imagery(grid, earlier, later, corner, warnings, area.on(grid) if area else None)


def _told(place: Place) -> str:
    return f"{place[0]} {tuple(place[1])[:6]}"


def _tile_identity(tile: Tile, identity: str) -> str:
    return f"{identity} {tile.crs} {tuple(tile.transform)[:6]} {tile.bands} {tile.values.low} {tile.values.high}"
