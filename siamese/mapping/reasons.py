"""Reasons why ground is unknown: one code a pixel, one word each, in order of precedence."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint8]
"""``(h, w)`` uint8, a :class:`Reason` for each pixel."""


class Reason(IntEnum):
    """Why a pixel is unknown; of several reasons the one with the highest code is kept.

    The codes are those of the published raster; a code never changes its meaning.
    """

    NONE = 0
    MISALIGNED = 1
    """The dates lie further apart than could be corrected."""
    UNLIKE_TRAINING = 2
    """The imagery looks like nothing that the network was trained on, such as noise."""
    SHADOW = 3
    """Deep shadow."""
    BLURRED = 4
    HAZE = 5
    SATURATED = 6
    CLOUD = 7
    UNREADABLE = 8
    """A block of the file is damaged."""
    ONE_DATE = 9
    """Only one of the two dates shows the ground, or both show the same picture."""
    NO_DATA = 10
    """Neither date shows the ground."""
    OUTSIDE = 11
    """Outside the area of interest; not part of the map."""

    @property
    def word(self) -> str:
        """The reason in tables and reports, such as ``no_data``."""
        return self.name.lower()


MISSING: Final = (Reason.UNREADABLE, Reason.ONE_DATE, Reason.NO_DATA)
"""Reasons that leave no picture at all: a building that touches such ground is unknown."""

COLOURS: Final[dict[Reason, tuple[int, int, int]]] = {
    Reason.NONE: (245, 245, 245),
    Reason.MISALIGNED: (123, 31, 162),
    Reason.UNLIKE_TRAINING: (233, 30, 99),
    Reason.SHADOW: (38, 50, 56),
    Reason.BLURRED: (141, 110, 99),
    Reason.HAZE: (144, 202, 249),
    Reason.SATURATED: (255, 238, 88),
    Reason.CLOUD: (66, 165, 245),
    Reason.UNREADABLE: (213, 0, 0),
    Reason.ONE_DATE: (158, 158, 158),
    Reason.NO_DATA: (97, 97, 97),
    Reason.OUTSIDE: (255, 255, 255),
}
"""RGB of each reason in rasters and pictures."""


def words(codes: Iterable[int]) -> str:
    """Returns reasons as text, the most important first: ``no_data,cloud``; empty for none."""
    return ",".join(Reason(code).word for code in sorted(set(codes), reverse=True) if code)


def shares(counts: npt.NDArray[np.int64], whole: int) -> dict[str, float]:
    """Returns the share of each reason that occurs.

    Args:
        counts: ``(codes,)`` pixels by code.
        whole: Pixels of the map.
    """
    known = {Reason(code): int(count) for code, count in enumerate(counts) if code and count}
    return {reason.word: count / whole for reason, count in sorted(known.items(), reverse=True)}
