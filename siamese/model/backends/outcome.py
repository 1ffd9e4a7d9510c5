"""Converts logits at the decoder's resolution to probabilities at the image's.

Upsampling them within the network took a sixth of its time; OpenCV and numpy take a few milliseconds.
"""

from __future__ import annotations

import cv2
import numpy as np

from siamese.model.backends.backend import Floats

_NEGLIGIBLE = -60.0
"""Log-odds of a negligible probability; smaller ones are clamped to it."""


def building_probability(logits: Floats, factor: int, size: tuple[int, int]) -> Floats:
    """Upsamples logits and applies the sigmoid.

    Args:
        logits: ``(h, w)`` float32.
        factor: Image pixels per logit, along each side.
        size: Size of the image, which may be slightly smaller than the logits.

    Returns:
        ``(H, W)`` float32.
    """
    values = np.negative(_enlarged(logits, factor))
    np.exp(np.minimum(values, -_NEGLIGIBLE, out=values), out=values)
    values += 1
    np.reciprocal(values, out=values)
    return np.ascontiguousarray(values[: size[0], : size[1]])


def damage_probabilities(logits: Floats, factor: int, size: tuple[int, int]) -> Floats:
    """Upsamples logits and applies the softmax: ``(4, h, w)`` to ``(4, H, W)`` float32."""
    # Subtracting the same value from all four before upsampling changes nothing after it, and prevents overflow.
    small = np.maximum(logits - logits.max(0), np.float32(_NEGLIGIBLE))
    values = np.stack([_enlarged(plane, factor) for plane in small])
    np.exp(values, out=values)
    values /= values.sum(0)
    return np.ascontiguousarray(values[:, : size[0], : size[1]])


def _enlarged(plane: Floats, factor: int) -> Floats:
    """Upsamples as PyTorch does: bilinear, corners not aligned."""
    if factor == 1:
        return plane
    height, width = plane.shape
    size = width * factor, height * factor
    return np.asarray(cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_LINEAR), np.float32)
