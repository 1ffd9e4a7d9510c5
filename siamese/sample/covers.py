"""Ground covers: their numbers in a cover map, and their colours from lush to dry."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from siamese.sample.arrays import Bytes

Pair = tuple[tuple[int, int, int], tuple[int, int, int]]

# Dark and bright RGB of each cover, in the lush and in the dry season.
_COLOURS: Final[dict[str, tuple[Pair, Pair]]] = {
    "grass": (((70, 84, 52), (128, 132, 92)), ((106, 98, 70), (166, 152, 116))),
    "lawn": (((68, 86, 52), (118, 130, 86)), ((98, 94, 64), (156, 146, 108))),
    "meadow": (((70, 76, 50), (134, 126, 92)), ((98, 84, 62), (164, 144, 112))),
    "crop": (((58, 92, 42), (96, 128, 66)), ((96, 104, 56), (140, 138, 88))),
    "ripe": (((128, 124, 74), (172, 160, 108)), ((146, 130, 88), (186, 168, 122))),
    "soil": (((112, 92, 70), (158, 132, 104)), ((118, 98, 76), (168, 142, 114))),
    "floor": (((40, 48, 32), (82, 78, 56)), ((62, 58, 40), (98, 88, 64))),
    "water": (((44, 62, 58), (62, 80, 72)), ((62, 72, 58), (82, 90, 72))),
    "sand": (((160, 144, 116), (196, 180, 150)), ((164, 148, 120), (200, 184, 154))),
    "flood": (((138, 118, 88), (166, 144, 110)), ((134, 116, 88), (162, 142, 110))),
    "mud": (((70, 62, 46), (124, 110, 84)), ((76, 66, 50), (128, 114, 88))),
    "burnt": (((28, 24, 21), (104, 88, 70)), ((30, 26, 22), (110, 92, 74))),
    "singed": (((84, 72, 48), (132, 114, 80)), ((92, 78, 54), (142, 120, 86))),
    "litter": (((92, 84, 62), (150, 134, 106)), ((104, 90, 68), (160, 142, 114))),
    "dirt": (((132, 112, 86), (178, 154, 122)), ((136, 116, 90), (184, 160, 128))),
    "gravel": (((138, 132, 120), (178, 172, 158)), ((138, 132, 120), (178, 172, 158))),
    "concrete": (((158, 153, 143), (200, 194, 182)), ((158, 153, 143), (200, 194, 182))),
    "asphalt": (((102, 101, 99), (142, 139, 133)), ((108, 106, 103), (148, 144, 137))),
}
COVERS: Final[dict[str, int]] = {name: number for number, name in enumerate(_COLOURS)}
LEVELS: Final = 32
"""Brightness levels between the dark and the bright colour of a cover."""

OPEN: Final = ("grass", "lawn", "meadow", "crop", "ripe", "soil", "floor", "litter", "singed")
"""Covers that are vegetated or open, so that fire and water can change them."""


def is_any(covers: Bytes, names: tuple[str, ...]) -> Bytes:
    """Returns where a cover map has one of the named covers: (H, W) uint8, 0 or 1."""
    table = np.zeros(256, np.uint8)
    table[[COVERS[name] for name in names]] = 1
    return cv2.LUT(covers, table)


def palette(dryness: float, rng: np.random.Generator) -> Bytes:
    """Returns the colours of all covers in one season.

    Args:
        dryness: 0 lush to 1 dry.
        rng: Source of randomness; each cover differs slightly each time.

    Returns:
        (covers x LEVELS, 3) uint8 RGB; row ``cover * LEVELS + level``.
    """
    both = np.array(list(_COLOURS.values()), float)
    ends = both[:, 0] * (1 - dryness) + both[:, 1] * dryness
    ends = ends * rng.normal(1, 0.05, (len(ends), 1, 1)) + rng.normal(0, 3, (len(ends), 1, 3))
    steps = np.linspace(0, 1, LEVELS)[None, :, None]
    ramps = ends[:, None, 0] * (1 - steps) + ends[:, None, 1] * steps
    return np.clip(ramps, 0, 255).astype(np.uint8).reshape(-1, 3)


def paint(covers: Bytes, level: Bytes, colours: Bytes) -> Bytes:
    """Converts a cover map to colours.

    Args:
        covers: (H, W) uint8 cover numbers.
        level: (H, W) uint8 brightness within the cover, 0..255.
        colours: The result of :func:`palette`.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    row = covers.astype(np.uint16) * LEVELS + (level >> 3)
    return lookup(colours, row)


def lookup(colours: Bytes, rows: np.ndarray) -> Bytes:
    """Returns ``colours[rows]`` for (n, 3) uint8 colours, four bytes at a time, which is several times faster."""
    wide = np.zeros((len(colours), 4), np.uint8)
    wide[:, :3] = colours
    four = np.take(wide.view(np.uint32)[:, 0], rows)
    return cv2.cvtColor(four.view(np.uint8).reshape(*rows.shape, 4), cv2.COLOR_RGBA2RGB)
