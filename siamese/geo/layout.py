"""Determines how an open file stores an image: its bands, type, palette and mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from siamese.errors import SiameseError
from siamese.geo.validity import Mask, Values, finite
from siamese.geo.values import ValueFacts

MAX_BANDS: Final = 32
_RGB: Final = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


@dataclass(frozen=True)
class Layout:
    """The bands and mask of a file that make up the image."""

    bands: tuple[int, ...]
    """Positions in the file, counted from 1; for a palette, its only band."""
    facts: ValueFacts
    has_mask: bool
    """Whether the file declares by any means where it has no data."""
    palette: tuple[tuple[int, int, int, int], ...] | None = None
    """Red, green, blue and alpha of each value."""
    palette_bands: int = 3
    """How many of the palette's three bands are read."""

    @property
    def count(self) -> int:
        """The number of bands that are read."""
        return len(self.bands) if self.palette is None else self.palette_bands

    def read(
        self, dataset: DatasetReader, window: Window | None = None, shape: tuple[int, int] | None = None
    ) -> tuple[Values, Mask | None]:
        """Reads values and the validity that the file declares.

        Args:
            dataset: The open file.
            window: Part of the file to read; by default all.
            shape: Height and width to which that part is decimated.

        Returns:
            ``(H, W, bands)`` of the file's type, and ``(H, W)`` validity or None if the file declares none. Values
            that are not finite are 0 and not valid.
        """
        out = None if shape is None else (len(self.bands), *shape)
        found = dataset.read(list(self.bands), window=window, out_shape=out)
        valid = dataset.dataset_mask(window=window, out_shape=shape) > 0 if self.has_mask else None
        values = np.ascontiguousarray(np.moveaxis(found, 0, -1))
        if self.palette is not None:
            colours = np.zeros((2 ** (8 * values.itemsize), 4), np.uint8)
            colours[: len(self.palette)] = self.palette
            values, alpha = colours[values[..., 0]][..., : self.palette_bands], colours[values[..., 0], 3]
            if not alpha.all():
                valid = alpha > 0 if valid is None else valid & (alpha > 0)
        return finite(np.ascontiguousarray(values), valid)


def find_layout(
    dataset: DatasetReader,
    name: str,
    count: int | None,
    order: tuple[int, ...] | None = None,
    names: tuple[str, ...] = (),
) -> Layout:
    """Finds the bands to read.

    Args:
        dataset: The open file.
        name: Name of the file in errors.
        count: Number of bands to read; None for all. With three, those marked red, green and blue are read if there
            are any, else the first ones.
        order: Positions of the bands to read, counted from 1; None: by the file's metadata.
        names: Common names of the file's bands, such as red, if they are known from elsewhere.

    Raises:
        SiameseError: The file has too few or too many bands, or they hold complex numbers.
    """
    every = [band for band, use in zip(dataset.indexes, dataset.colorinterp, strict=True) if use != ColorInterp.alpha]
    palette = _palette(dataset, every)
    there = 3 if palette else len(every)
    if not there or dataset.count > MAX_BANDS:
        raise SiameseError(f"has {dataset.count} bands", where=name, fix=f"keep 1 to {MAX_BANDS} bands")
    wanted = there if count is None else count
    if there < wanted and (order is None or palette):
        raise too_few(there, wanted, name)
    named: tuple[int, ...] = ()
    if order is not None and not palette:
        if max(order) > dataset.count or len(order) < wanted:
            what = f"has {dataset.count} bands, not the ones in mapping.bands: {', '.join(map(str, order))}"
            raise SiameseError(what, where=name, fix=f"name {wanted} of its bands, counted from 1")
        named = tuple(order[:wanted])
    elif wanted == len(_RGB) and not palette:
        named = _named(dataset) or _called(names) or _called(tuple(text or "" for text in dataset.descriptions))
    bands = tuple(every) if palette else named or tuple(every[:wanted])
    for kind in sorted({dataset.dtypes[band - 1] for band in bands}):
        check_type(kind, name)
    flags = {flag for band in bands for flag in dataset.mask_flag_enums[band - 1]}
    return Layout(
        bands=bands,
        facts=_facts(dataset, bands),
        has_mask=MaskFlags.all_valid not in flags,
        palette=palette,
        palette_bands=min(3, wanted),
    )


def check_type(kind: str, name: str) -> None:
    """Refuses types whose values cannot become pixels.

    Raises:
        SiameseError: The values are complex numbers.
    """
    if kind.startswith("complex"):
        fix = "convert it to integers or floats (gdal_translate -ot Float32)"
        raise SiameseError(f"holds {kind}, neither integers nor floats", where=name, fix=fix)


def too_few(there: int, wanted: int, name: str) -> SiameseError:
    """Returns the error for an image that has fewer bands than a network takes."""
    fix = (
        "give red, green and blue, or set mapping.bands=[1,1,1]"
        if wanted == 3
        else "give the bands that the network was trained on"
    )
    return SiameseError(f"has {there} band{'s' * (there != 1)}, not {wanted}", where=name, fix=fix)


def _named(dataset: DatasetReader) -> tuple[int, ...]:
    uses = dict(zip(dataset.colorinterp, dataset.indexes, strict=True))
    return tuple(uses[use] for use in _RGB) if all(use in uses for use in _RGB) else ()


def _called(names: tuple[str, ...]) -> tuple[int, ...]:
    """Returns the bands called red, green and blue; nothing unless each is there once."""
    words = [name.strip().lower() for name in names]
    colours = ("red", "green", "blue")
    return tuple(words.index(one) + 1 for one in colours) if all(words.count(one) == 1 for one in colours) else ()


def _palette(dataset: DatasetReader, bands: list[int]) -> tuple[tuple[int, int, int, int], ...] | None:
    if len(bands) != 1 or dataset.colorinterp[bands[0] - 1] != ColorInterp.palette:
        return None
    colours = dataset.colormap(bands[0])
    return tuple(colours.get(value, (0, 0, 0, 0)) for value in range(max(colours) + 1))


def _facts(dataset: DatasetReader, bands: tuple[int, ...]) -> ValueFacts:
    kind = np.result_type(*(np.dtype(dataset.dtypes[band - 1]) for band in bands))
    tags = dataset.tags()
    declared = None
    try:
        least, most = float(tags["TIFFTAG_MINSAMPLEVALUE"]), float(tags["TIFFTAG_MAXSAMPLEVALUE"])
        declared = (least, most) if least < most else None
    except (KeyError, ValueError):
        pass
    scale, offset = dataset.scales[bands[0] - 1], dataset.offsets[bands[0] - 1]
    return ValueFacts(str(kind), declared, -offset / scale if scale and offset else 0.0)
