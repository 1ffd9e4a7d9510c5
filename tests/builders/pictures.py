"""Pictures with something to see on every part of them, and changed copies."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def picture(seed: int, height: int = 320, width: int = 320) -> Picture:
    """(H, W, 3) uint8 RGB: ground of soft colours with roofs and roads."""
    rng = np.random.default_rng(seed)
    ground = sum(
        weight * cv2.resize(rng.normal(0, 1, (side, side, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
        for side, weight in ((4, 25), (16, 15), (80, 8))
    )
    image = (110 + np.asarray(ground)).clip(0, 255).astype(np.uint8)
    for _ in range(height * width // 2500):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        size = (int(rng.integers(6, 26)), int(rng.integers(6, 26)))
        box = cv2.boxPoints((centre, size, float(rng.uniform(0, 90)))).astype(int)
        cv2.fillPoly(image, [box], rng.integers(0, 255, 3).tolist())
    return image


def jpeg(image: Picture, quality: int = 60) -> bytes:
    """The picture as JPEG."""
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def png(image: Picture) -> bytes:
    """The picture as PNG."""
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def _reencoded(image: Picture) -> Picture:
    return cv2.imdecode(np.frombuffer(jpeg(image), np.uint8), cv2.IMREAD_COLOR_RGB)


CHANGES: dict[str, tuple[str, Callable[[Picture], Picture]]] = {
    "flip-x": ("flip left-right", lambda image: image[:, ::-1]),
    "flip-y": ("flip top-bottom", lambda image: image[::-1]),
    "turn-90": ("rotation 90°", np.rot90),
    "turn-180": ("rotation 180°", lambda image: np.rot90(image, 2)),
    "turn-270": ("rotation 270°", lambda image: np.rot90(image, 3)),
    "transpose": ("transpose", lambda image: image.transpose(1, 0, 2)),
    "transverse": ("transverse", lambda image: np.rot90(image, 2).transpose(1, 0, 2)),
    "cut": ("crop", lambda image: image[40:250, 60:270]),
    "re-encoded": ("re-encoded", _reencoded),
    "colour": ("colour", lambda image: (image * [0.8, 1.0, 1.15] + [20, 0, -15]).clip(0, 255).astype(np.uint8)),
    "half": ("resize x0.5", lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)),
    "double": ("resize x2", lambda image: cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)),
}
"""By name: what the change is called, and the change."""
