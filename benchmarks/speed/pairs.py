"""A pair to classify."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


def pair_of_png(side: int) -> tuple[bytes, bytes]:
    """Makes two dates of structured noise, about as hard to decode as imagery."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, side // 16, side // 16, 3), np.uint8)
    large = [cv2.resize(image, (side, side)) for image in coarse]
    pre, post = (cv2.add(image, rng.integers(0, 24, image.shape, np.uint8)) for image in large)
    return cv2.imencode(".png", pre)[1].tobytes(), cv2.imencode(".png", post)[1].tobytes()


def decode(data: bytes) -> Image:
    """Decodes a PNG to ``(H, W, 3)`` uint8."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)
