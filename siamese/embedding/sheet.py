"""A sheet of pictures as the answer to a search: the query first, then what was found, with its distance."""

from __future__ import annotations

import io
import math
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import shapely
from matplotlib.figure import Figure
from shapely.geometry.base import BaseGeometry

from siamese.classes import COLOURS
from siamese.embedding.chips import Box, Image, scaled
from siamese.geo import shown

_INK: Final = "#263238"
_FAINT: Final = "#607d8b"
_QUERY: Final = "#1565c0"
_DPI: Final = 100
_CHIP_PX: Final = 160
_GAP_PX: Final = 14
_TEXT_PX: Final = 34
_HEAD_PX: Final = 56
_OUTLINE: Final = (255, 235, 59)


@dataclass(frozen=True, eq=False)
class Picture:
    """One answer on the sheet."""

    chips: tuple[Image, ...]
    """``(side, side, 3)`` uint8: one image, or pre and post of a building."""
    name: str
    """Printed below; shortened, and without characters that do not print."""
    note: str
    """Printed below the name, e.g. the distance."""
    colour: str = ""
    """Of a bar above the chips, such as that of the damage class; none where empty."""


def draw_sheet(query: Picture | None, found: Sequence[Picture], title: str) -> bytes:
    """Draws the sheet.

    Args:
        query: What was asked for; None where it has no picture.
        found: The answers, the nearest first.
        title: Of the sheet.

    Returns:
        PNG.
    """
    pictures = ([query] if query else []) + list(found)
    chips = max((len(one.chips) for one in pictures), default=1)
    cell = chips * _CHIP_PX + _GAP_PX, _CHIP_PX + _TEXT_PX + _GAP_PX
    columns = max(1, min(len(pictures), round(math.sqrt(max(1, len(pictures)) * 1.5 * cell[1] / cell[0]))))
    columns = max(columns, min(len(pictures), math.ceil(420 / cell[0])), 1)
    rows = math.ceil(max(1, len(pictures)) / columns)
    width, height = columns * cell[0] + _GAP_PX, rows * cell[1] + _HEAD_PX
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    heading = printable(title, width // 10)
    figure.text(
        _GAP_PX / width, 1 - 22 / height, heading, fontsize=13, fontweight="bold", color=_INK, va="center",
        parse_math=False,
    )  # fmt: skip
    if chips > 1:
        told = "before | after, with the same outline on both"
        figure.text(_GAP_PX / width, 1 - 42 / height, told, fontsize=8, color=_FAINT, va="center", parse_math=False)
    for number, picture in enumerate(pictures):
        left = _GAP_PX + (number % columns) * cell[0]
        top = _HEAD_PX + (number // columns) * cell[1]
        _draw(figure, picture, (left, top), (width, height), asked=query is not None and number == 0)
    out = io.BytesIO()
    with warnings.catch_warnings():
        # Names may be in scripts that the font lacks; they get a box each.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def building_picture(chips: tuple[Image, Image], outline: BaseGeometry, box: Box) -> tuple[Image, ...]:
    """Returns both chips of a building at the sheet's size, its outline drawn on each.

    Args:
        chips: ``(side, side, bands)`` of either date.
        outline: In (column, row) pixels of the map.
        box: The square that the chips show.
    """
    row, col, side = box
    factor = _CHIP_PX / side
    placed = shapely.transform(outline, lambda points: (points - (col, row)) * factor)
    rings = [part.exterior for part in shapely.get_parts(placed) if hasattr(part, "exterior")]
    lines = [np.rint(shapely.get_coordinates(ring) * 16).astype(np.int32) for ring in rings]
    drawn = []
    for chip in chips:
        large = scaled(chip, _CHIP_PX)
        cv2.polylines(large, lines, isClosed=True, color=_OUTLINE, thickness=1, lineType=cv2.LINE_AA, shift=4)
        drawn.append(large)
    return tuple(drawn)


def image_picture(image: Image) -> tuple[Image, ...]:
    """Returns an image at the sheet's size, whole and undistorted, on white."""
    height, width = image.shape[:2]
    factor = _CHIP_PX / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(
        np.ascontiguousarray(shown(image)), size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    )
    canvas: Image = np.full((_CHIP_PX, _CHIP_PX, 3), 255, np.uint8)
    top, left = (_CHIP_PX - size[1]) // 2, (_CHIP_PX - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = small
    return (canvas,)


def class_colour(name: object) -> str:
    """Returns the colour of a damage class as ``#rrggbb``; empty for anything else."""
    return "#{:02x}{:02x}{:02x}".format(*COLOURS[name]) if isinstance(name, str) and name in COLOURS else ""


def printable(text: str, most: int) -> str:
    """Returns a text for a picture: one line, no control or unprintable characters, its middle left out if long."""
    shown_text = "".join(
        "·" if unicodedata.category(letter)[0] in "CZ" and letter != " " else letter for letter in text
    )
    if len(shown_text) <= most:
        return shown_text
    return shown_text[: most // 2 - 1] + "…" + shown_text[len(shown_text) - (most - most // 2) :]


def _draw(figure: Figure, picture: Picture, corner: tuple[int, int], page: tuple[int, int], *, asked: bool) -> None:
    (left, top), (width, height) = corner, page
    for number, chip in enumerate(picture.chips):
        box = ((left + number * _CHIP_PX) / width, 1 - (top + _CHIP_PX) / height, _CHIP_PX / width, _CHIP_PX / height)
        axes = figure.add_axes(box)
        axes.imshow(chip, interpolation="nearest", aspect="auto")
        axes.set_xticks([])
        axes.set_yticks([])
        for side in axes.spines.values():
            side.set_color(_QUERY if asked else "white")
            side.set_linewidth(3 if asked else 0.8)
    if picture.colour:
        bar = figure.add_axes(
            (left / width, 1 - top / height, len(picture.chips) * _CHIP_PX / width, 5 / height),
            facecolor=picture.colour,
        )
        bar.set_xticks([])
        bar.set_yticks([])
        for side in bar.spines.values():
            side.set_visible(False)
    letters = len(picture.chips) * _CHIP_PX // 6
    for line, (text, colour) in enumerate(((picture.name, _INK), (picture.note, _QUERY if asked else _FAINT))):
        figure.text(
            left / width, 1 - (top + _CHIP_PX + 11 + 14 * line) / height, printable(text, letters),
            fontsize=7.5, color=colour, va="center", parse_math=False,
        )  # fmt: skip
