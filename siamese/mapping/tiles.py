"""Opens the images of a map with :mod:`siamese.geo`; images without a georeference are placed by an xBD label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from affine import Affine

from siamese.errors import SiameseError
from siamese.geo import GDAL_OPTIONS, Raster, open_rasters, opened
from siamese.ingest.georeference import from_label
from siamese.ingest.labels import parse_label
from siamese.mapping.inputs import ImageFile

__all__ = ["GDAL", "Tile", "label_georeference", "open_tiles", "opened", "value_notes"]

Tile = Raster
GDAL = GDAL_OPTIONS
_MAX_RESIDUAL_PX = 1.0
_MAX_VERTICES = 100_000


def open_tiles(
    images: Sequence[ImageFile],
    folder: Path,
    bands: int = 3,
    value_range: tuple[float, float] | None = None,
    order: tuple[int, ...] | None = None,
) -> tuple[Raster, ...]:
    """Opens the images of one date; see :func:`siamese.geo.open_rasters`.

    Args:
        images: The files.
        folder: Folder for copies of PNGs.
        bands: Number of bands to read.
        value_range: Values that map to 0 and 255 in images wider than 8 bits.
        order: Positions of the bands to read, counted from 1.

    Raises:
        SiameseError: A file cannot be read, holds an unsupported type, or has too few bands.
    """
    files = [(image.path, image.name) for image in images]
    names = [image.bands for image in images]
    return open_rasters(files, folder, bands, value_range=value_range, order=order, names=names)


def value_notes(rasters: Sequence[Raster], date: str) -> tuple[str, ...]:
    """Lists the assumptions made about the values of a date's images, one line each."""
    notes: dict[str, list[str]] = {}
    for raster in rasters:
        if raster.values.note:
            notes.setdefault(raster.values.note, []).append(raster.name)
    return tuple(
        f"{date} image {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {note}"
        for note, names in notes.items()
    )


def label_georeference(image: ImageFile, width: int, height: int) -> tuple[str, Affine] | None:
    """Returns crs and transform from an image's xBD label; None when there is no label or it does not fit."""
    if image.label is None:
        return None
    try:
        label = parse_label(
            image.label.read_bytes(), image.label.name, width=width, height=height, max_vertices=_MAX_VERTICES
        )
    except SiameseError:  # the label is optional: without a valid one the map is in pixel coordinates
        return None
    found = from_label(label, width, height)
    if found is None or found.residual_px is None or found.residual_px > _MAX_RESIDUAL_PX:
        return None
    return found.crs, found.transform
