"""Draws a picture of a map: the image after the disaster, buildings coloured by damage, a legend and a scale."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from affine import Affine
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from siamese.classes import COLOURS, UNCLASSIFIED
from siamese.geo import rasterize, shown
from siamese.mapping.buildings import CLASSES, UNKNOWN, MappedBuilding
from siamese.mapping.grid import Grid
from siamese.mapping.mosaic import Image
from siamese.mapping.rasters import wholly_unknown
from siamese.products.fonts import font_file

_INK = "#263238"
_FILL = 0.38
_UNKNOWN_FILL = 0.55
_MARGIN_PX = 25
_TITLE_PX = 75
_LEGEND_PX = 65
_LEAST_WIDTH_PX = 900
_PAPER = 235
_SCALE_SHARE = 0.22
"""The scale bar is at most this share of the width."""
_PNG_LEVEL = 3
"""Of compression: a picture is 6 % larger than at the usual level 6, and written in a third of the time."""
_STRIP_ROWS = 256
"""Rows of a picture that are read at once."""
_BATCH = 2048
"""Buildings that are drawn at once."""
_RANKS = {UNKNOWN: 1} | {name: rank for rank, name in enumerate(CLASSES[:-1], start=2)}
"""Of buildings on one pixel, the one of the highest rank is seen."""


class Readable(Protocol):
    """Images that can be read on any grid."""

    def read(self, grid: Grid) -> tuple[Image, object]:
        """Returns the pixels ``(h, w, bands)`` uint8, and which of them are seen."""
        ...


class Paper:
    """Plain ground, for a map whose images are gone."""

    def read(self, grid: Grid) -> tuple[Image, None]:
        """Returns light grey."""
        return np.full((grid.height, grid.width, 3), _PAPER, np.uint8), None


def draw_picture(
    grid: Grid,
    post: Readable,
    classes: Path,
    buildings: Iterable[MappedBuilding],
    counts: Mapping[str, int],
    longer_px: int,
    *,
    event: str,
    model: str,
) -> bytes:
    """Draws the picture of a map.

    Args:
        grid: Pixels of the map.
        post: Images after the disaster.
        classes: The class raster, which marks where the ground is unknown.
        buildings: The buildings, drawn by their outlines, as the page and QGIS show them; none is too small to be seen.
        counts: Buildings by class.
        longer_px: Maximum length of the image's longer side; a smaller map is enlarged up to twice its size.
        event: Title.
        model: Printed below the title.

    Returns:
        The picture as PNG.
    """
    factor = max(0.5, max(grid.width, grid.height) / longer_px)
    fine = grid if factor <= 1 else grid.coarser(factor)
    image = shown(_read_in_strips(post, fine))
    ground = np.where(wholly_unknown(classes, fine.height, fine.width), np.uint8(UNCLASSIFIED), np.uint8(0))
    if factor < 1:
        size = round(fine.width / factor), round(fine.height / factor)
        image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
        ground = cv2.resize(ground, size, interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    height, width = ground.shape
    mask = _burnt(buildings, ground, Affine.scale(grid.width / width, grid.height / height), whole=factor > 1)
    metres = grid.pixel_m2()
    pixel = (1 if metres is None else math.sqrt(metres)) * grid.width / image.shape[1]
    return _page(_overlay(image, mask), pixel, "px" if metres is None else "m", counts, event, model)


def _read_in_strips(images: Readable, grid: Grid) -> Image:
    """Reads a grid in strips, on all processors: a coarse grid may need many times as many pixels of the files."""

    def strip(row: int) -> Image:
        return images.read(grid.window(row, 0, min(_STRIP_ROWS, grid.height - row), grid.width))[0]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.concatenate(list(pool.map(strip, range(0, grid.height, _STRIP_ROWS))))


def _burnt(
    buildings: Iterable[MappedBuilding], ground: npt.NDArray[np.uint8], transform: Affine, *, whole: bool
) -> npt.NDArray[np.uint8]:
    """Draws buildings on the ground.

    Args:
        buildings: The buildings; they are taken a batch at a time.
        ground: ``(h, w)``, 255 where the ground is unknown, else 0.
        transform: (column, row) of the picture to those of the map.
        whole: Whether a building covers every pixel that it touches, not only those whose middle it holds.

    Returns:
        ``(h, w)``: 1..4 damage, 255 unknown, 0 neither.
    """
    highest = np.zeros_like(ground)
    remaining = iter(buildings)
    while batch := list(islice(remaining, _BATCH)):
        ranked = sorted(((one.outline, _RANKS[one.damage_class]) for one in batch), key=lambda one: one[1])
        drawn = rasterize(ranked, out_shape=ground.shape, transform=transform, all_touched=whole, dtype="uint8")
        np.maximum(highest, drawn, out=highest)
    values = np.array([0, UNCLASSIFIED, *range(1, len(CLASSES))], np.uint8)
    return np.where(highest > 0, values[highest], ground)


def _overlay(image: Image, mask: npt.NDArray[np.uint8]) -> Image:
    """Colours every building with a light fill, through which the roof shows, and a strong edge."""
    out = image.astype(np.float32)
    unknown = mask == UNCLASSIFIED
    grey = np.array(COLOURS["unknown"], np.float32)
    stripes = (np.add.outer(np.arange(mask.shape[0]), np.arange(mask.shape[1])) % 16) < 3
    out[unknown] += (grey - out[unknown]) * (_UNKNOWN_FILL * 0.5)
    out[unknown & stripes] += (grey - out[unknown & stripes]) * _UNKNOWN_FILL
    width = max(1, round(max(mask.shape) / 800))
    around = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    for value, name in enumerate(CLASSES[:-1], start=1):
        inside = mask == value
        if not inside.any():
            continue
        colour = np.array(COLOURS[name], np.float32)
        core = cv2.erode(inside.astype(np.uint8), around, borderValue=1).view(bool)
        out[core] += (colour - out[core]) * _FILL
        out[inside & ~core] = colour
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def _page(image: Image, pixel: float, unit: str, counts: Mapping[str, int], event: str, model: str) -> bytes:
    height, width = image.shape[:2]
    size = max(width, _LEAST_WIDTH_PX) + 2 * _MARGIN_PX, height + _TITLE_PX + _LEGEND_PX
    page = PillowImage.new("RGB", size, "white")
    left = (size[0] - width) // 2
    page.paste(PillowImage.fromarray(image), (left, _TITLE_PX))
    draw = ImageDraw.Draw(page, "RGBA")
    total = sum(counts.values())
    draw.text((_MARGIN_PX, 30), event, _INK, _font(24, bold=True), anchor="lm")
    told = f"{total:,} building{'s' * (total != 1)} · {model}"
    draw.text((_MARGIN_PX, 57), told, _INK, _font(14), anchor="lm")
    _scale(draw, left + 24, _TITLE_PX + height - 30, width, pixel, unit)
    _legend(draw, size[0] / 2, size[1] - _LEGEND_PX / 2, counts)
    out = io.BytesIO()
    page.save(out, "PNG", compress_level=_PNG_LEVEL)
    return out.getvalue()


def _scale(draw: ImageDraw.ImageDraw, x: int, y: int, width: int, pixel: float, unit: str) -> None:
    length = _round_length(width * pixel * _SCALE_SHARE)
    bar = max(1, round(length / pixel))
    text = f"{length / 1000:g} km" if unit == "m" and length >= 1000 else f"{length:g} {unit}"
    draw.rectangle((x - 10, y - 30, x + bar + 10, y + 18), (255, 255, 255, 191))
    draw.rectangle((x, y, x + bar, y + 6), _INK)
    draw.text((x + bar / 2, y - 5), text, _INK, _font(14), anchor="mb")


def _legend(draw: ImageDraw.ImageDraw, x: float, y: float, counts: Mapping[str, int]) -> None:
    """Draws a swatch, name and number of each class in one centred row."""
    font, swatch, gap, apart = _font(15), 18, 10, 27
    labels = {name: f"{name.replace('_', ' ')}  {counts.get(name, 0):,}" for name in CLASSES}
    widths = [swatch + gap + font.getlength(label) for label in labels.values()]
    x -= (sum(widths) + apart * (len(widths) - 1)) / 2
    for (name, label), wide in zip(labels.items(), widths, strict=True):
        draw.rectangle((x, y - swatch / 2, x + swatch, y + swatch / 2), COLOURS[name])
        draw.text((x + swatch + gap, y), label, _INK, font, anchor="lm")
        x += wide + apart


@cache
def _font(size_px: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_file(bold=bold), size_px)


def _round_length(most: float) -> float:
    """Returns the largest number of the form 1, 2 or 5 times a power of ten that is at most ``most``."""
    if most <= 1:
        return 1.0
    power = 10 ** math.floor(math.log10(most))
    return float(max(step * power for step in (1, 2, 5) if step * power <= most))
