"""Random fields: smooth at many scales, or per-pixel grain."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from scipy.special import ndtri

from siamese.sample.arrays import Bytes, Floats

COARSE: Final = 4


def smooth(rng: np.random.Generator, shape: tuple[int, int], cell_px: float, octaves: int = 3) -> Floats:
    """Returns a smooth random field.

    Args:
        rng: Source of randomness.
        shape: Rows and columns.
        cell_px: Size of the largest blobs; each octave halves it.
        octaves: Number of scales added up.

    Returns:
        ``shape`` float32 in 0..1, spread over the whole range.
    """
    rows, columns = -(-shape[0] // COARSE), -(-shape[1] // COARSE)
    total = np.zeros((rows, columns), np.float32)
    for octave in range(octaves):
        cell = max(cell_px / COARSE / 2**octave, 1.0)
        lattice = rng.random((int(rows / cell) + 3, int(columns / cell) + 3), np.float32)
        total += cv2.resize(lattice, (columns, rows), interpolation=cv2.INTER_CUBIC) * np.float32(0.55**octave)
    low, high = np.quantile(total[::2, ::2], (0.01, 0.99))
    total = np.clip((total - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    whole: Floats = cv2.resize(total, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return whole


def grain(rng: np.random.Generator, shape: tuple[int, int], sigma_px: float) -> Bytes:
    """Returns fine texture around 128.

    Args:
        rng: Source of randomness.
        shape: Rows and columns.
        sigma_px: Softness; 0 for white noise.

    Returns:
        ``shape`` uint8, mean 128, standard deviation about 40.
    """
    white = rng.integers(0, 256, shape, np.uint8)
    if sigma_px <= 0:
        return white
    soft = cv2.GaussianBlur(white, (0, 0), sigma_px)
    gain = 2 * np.sqrt(np.pi) * max(sigma_px, 0.4) * 0.5
    return cv2.convertScaleAbs(soft, alpha=gain, beta=128 * (1 - gain))


def gaussian_levels(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> Floats:
    """Returns Gaussian noise in whole grey levels.

    Returns:
        ``shape`` int16.
    """
    table = np.round(sigma * ndtri((np.arange(256) + 0.5) / 256)).astype(np.int16)
    return cv2.LUT(rng.integers(0, 256, shape, np.uint8), table)
