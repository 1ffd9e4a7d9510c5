"""Image augmentations shared by every kind of training, and the order in which examples are shown."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def turned(image: Image, turns: int, *, flip: bool) -> Image:
    """Rotates by the given number of quarter turns, then mirrors if asked to."""
    found = np.rot90(image, turns)
    return np.ascontiguousarray(found[:, ::-1] if flip else found)


def recoloured(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Changes brightness, contrast, gamma and balance through one table, and saturation of RGB through one matrix.

    Bands other than red, green and blue are not mixed: radar and infrared share no colour.

    Args:
        image: ``(H, W, bands)``.
        strength: 0..1.
        rng: Source of randomness.
    """
    bands = image.shape[2]
    contrast, gamma = np.exp(rng.uniform(-strength, strength, 2))
    brightness = rng.uniform(-strength, strength) * 0.5
    balance = np.exp(rng.uniform(-strength, strength, bands) * 0.3) if bands > 1 else np.ones(1)
    levels = (np.arange(256, dtype=np.float32) / 255)[:, None] ** np.float32(gamma)
    table = ((levels - 0.4) * contrast + 0.4 + brightness) * balance * 255
    toned = np.asarray(cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8)[None]), np.uint8)
    if bands != 3:
        return toned.reshape(image.shape)
    saturation = float(np.exp(rng.uniform(-strength, strength) * 1.5))
    grey = np.full((3, 3), (1 - saturation) / 3, np.float32) + np.eye(3, dtype=np.float32) * saturation
    return np.asarray(cv2.transform(toned, grey), np.uint8)


def shuffled(number: int, count: int, seed: int) -> int:
    """Returns which of ``count`` items is at position ``number``: each once per round, each round in its own order."""
    turn, place = divmod(number, count)
    return int(np.random.default_rng((seed, turn)).permutation(count)[place])
