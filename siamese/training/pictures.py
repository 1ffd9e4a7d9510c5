"""Example pictures of a training run: pre, post, truth and prediction side by side."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from siamese.classes import COLOURS, DAMAGE_CLASSES, UNCLASSIFIED
from siamese.geo import shown

Image = NDArray[np.uint8]
_SIDE = 320


def example_row(pre: Image, post: Image, truth: Image, prediction: Image) -> Image:
    """Draws one scene as a row of four pictures.

    Args:
        pre: ``(H, W, bands)`` uint8.
        post: The same after the disaster, with its own number of bands.
        truth: ``(H, W)`` uint8: 0, 1..4, 255.
        prediction: ``(H, W)`` uint8: 0, 1..4.

    Returns:
        ``(320, 1280, 3)`` uint8, RGB.
    """
    images = [cv2.resize(shown(image), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for image in (pre, post)]
    maps = [
        cv2.resize(_painted(classes), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for classes in (truth, prediction)
    ]
    return np.asarray(np.concatenate([*images, *maps], 1), np.uint8)


def as_png(rows: Sequence[Image]) -> bytes:
    """Stacks rows vertically and encodes them as a PNG."""
    _, data = cv2.imencode(".png", cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))
    return data.tobytes()


def _painted(classes: Image) -> Image:
    table = np.full((256, 3), 24, np.uint8)
    for value, name in enumerate(DAMAGE_CLASSES, start=1):
        table[value] = COLOURS[name]
    table[UNCLASSIFIED] = COLOURS["unknown"]
    return np.asarray(table[classes], np.uint8)
