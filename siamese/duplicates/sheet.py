"""Draws pairs of twins side by side, for a person to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from siamese.duplicates.fingerprint import Fingerprint
from siamese.duplicates.twins import TwinPair

_CELL: Final = 256
_TEXT: Final = 34
_GAP: Final = 8
_COLUMNS: Final = 2
MOST: Final = 24
"""Pairs on a sheet."""


def draw_sheet(pairs: Sequence[TwinPair], prints: Mapping[str, Fingerprint]) -> bytes:
    """Draws up to 24 pairs: the one image, the other, and the one laid on the other's frame.

    Args:
        pairs: The pairs; the least certain ones are drawn first.
        prints: Fingerprint of each image by its sha256.

    Returns:
        PNG.
    """
    shown = sorted(pairs, key=lambda pair: (pair.confidence, pair.one.name, pair.other.name))[:MOST]
    cells = [_cell(pair, prints[pair.one.sha256], prints[pair.other.sha256]) for pair in shown]
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % min(_COLUMNS, len(cells)))
    across = min(_COLUMNS, len(shown))
    rows = [np.hstack(cells[start : start + across]) for start in range(0, len(cells), across)]
    _, png = cv2.imencode(".png", cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
    return png.tobytes()


def _cell(pair: TwinPair, one: Fingerprint, other: Fingerprint) -> NDArray[np.uint8]:
    a, b, c, d, e, f = pair.transform
    whole = np.array([[a, b, c], [d, e, f], [0, 0, 1]])
    to, back = (np.diag([small.shape[1] / of.width, small.shape[0] / of.height, 1.0])
                for small, of in ((other.small, other), (one.small, one)))  # fmt: skip
    between = (to @ whole @ np.linalg.inv(back))[:2]
    height, width = other.small.shape[:2]
    laid = cv2.warpAffine(one.small, between, (width, height), borderValue=(200, 200, 200))
    pictures = np.hstack([_framed(np.asarray(picture, np.uint8)) for picture in (one.small, other.small, laid)])
    cell = np.full((_TEXT + pictures.shape[0] + _GAP, pictures.shape[1] + _GAP, 3), 255, np.uint8)
    cell[_TEXT : _TEXT + pictures.shape[0], : pictures.shape[1]] = pictures
    kinds = ", ".join(pair.kinds).replace("°", " deg")
    names = f"{pair.one.name.rpartition('/')[2]}  |  {pair.other.name.rpartition('/')[2]}"
    for line, text in enumerate((names, f"{kinds}; confidence {pair.confidence:.2f}; laid on the other at the right")):
        # OpenCV's font has ASCII alone, and OpenCV crashes on text that UTF-8 cannot hold.
        plain = text[:118].encode("ascii", errors="replace").decode()
        cv2.putText(cell, plain, (4, 13 + 15 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return cell


def _framed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    shrink = _CELL / max(height, width)
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    fitted = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrink < 1 else cv2.INTER_NEAREST)
    frame = np.full((_CELL, _CELL + 4, 3), 235, np.uint8)
    frame[: size[1], : size[0]] = fitted
    return frame
