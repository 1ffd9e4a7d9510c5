"""Blends the probabilities of a whole map from its blocks, one piece at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from siamese.mapping.blocks import Block, Bytes
from siamese.mapping.reasons import Codes
from siamese.mapping.windows import Floats, Layout, Span, Window, ramp
from siamese.model import Decision, Probabilities

_LEAST = np.float32(1e-12)
_BLOCKS_HELD = 4
"""A piece needs its own block and those above, to the left and between; the next piece in the row needs two of them."""


@dataclass(frozen=True)
class Piece:
    """A part of the map; pieces tile it without gap or overlap."""

    row: int
    """Of its first pixel."""
    col: int
    """Of its first pixel."""
    found: Probabilities
    unseen: Bytes
    """``(h, w)``, 0 where both dates show the ground; see :class:`siamese.mapping.blocks.Block`."""
    reasons: Codes
    """``(h, w)``, why the pixel is unknown."""


class BlendedBlocks:
    """Reads pieces of a map in any order; each window has a piece, from its start to the start of the next windows.

    Windows fade linearly into each other where they overlap. Four blocks are held in memory, whatever the map's size.
    """

    def __init__(self, layout: Layout, decision: Decision, read: Callable[[Window], Block]) -> None:
        """Sets up blending; no block is read yet.

        Args:
            layout: Windows of the map.
            decision: The decision that the blocks were made with.
            read: Returns the block of a window.
        """
        self.layout = layout
        self._decision = decision
        self._read = lru_cache(_BLOCKS_HELD)(read)

    def piece(self, window: Window) -> Piece:
        """Returns the piece that begins where a window does.

        Raises:
            SiameseError: A block cannot be read.
        """
        height, width = window.rows.own, window.cols.own
        total = np.zeros((6, height, width), np.float32)
        for row in self._overlapping(window.row, window.rows):
            for col in self._overlapping(window.col, window.cols):
                self._add(total, window, self.layout.window(row, col))
        # Where only one of the windows has the damage, it alone decides.
        damage = total[1:5] / np.maximum(total[5], _LEAST)
        own = self._read(window)
        found = Probabilities(total[0], damage)
        inner = np.s_[:height, :width]
        return Piece(window.rows.start, window.cols.start, found, own.unseen[inner], own.reasons[inner])

    @staticmethod
    def _overlapping(number: int, span: Span) -> tuple[int, ...]:
        return (number - 1, number) if span.fades_in else (number,)

    def _add(self, total: Floats, window: Window, other: Window) -> None:
        rows, down = _share(window.rows, before=other.row < window.row)
        cols, across = _share(window.cols, before=other.col < window.col)
        part = self._read(other).probabilities(
            slice(window.rows.start - other.rows.start, window.rows.start - other.rows.start + rows),
            slice(window.cols.start - other.cols.start, window.cols.start - other.cols.start + cols),
            self._decision,
        )
        total[:, :rows, :cols] += part * (down[:, None] * across)


def _share(own: Span, *, before: bool) -> tuple[int, Floats]:
    """Returns how many of a piece's first pixels a window covers along an axis, and its weight on each."""
    rising = ramp(own.fades_in)
    if before:
        return own.fades_in, 1 - rising
    weights = np.ones(own.own, np.float32)
    weights[: own.fades_in] = rising
    return own.own, weights
