"""Tiny data of every kind for the tests of similarity, made from a seed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from siamese.params import ItemsParams, SimilarityParams

QUICK: dict[str, object] = {
    "width": 8, "dim": 16, "epochs": 6, "batch": 32, "per_class": 4, "learning_rate": 5e-3, "ema_decay": None,
    "checkpoint_seconds": 1e9,
}  # fmt: skip
"""A network that learns in seconds."""


def quick(**changes: object) -> SimilarityParams:
    return SimilarityParams.model_validate(QUICK | changes)


def packing(**changes: object) -> ItemsParams:
    return ItemsParams.model_validate({"side_px": 16, "val_share": 0.25, "test_share": 0.25, **changes})


def pattern(number: int, bands: int = 1) -> NDArray[np.uint8]:
    """A blocky pattern of its own for each class, ``(16, 16, bands)``."""
    small = np.random.default_rng(number).integers(0, 255, (4, 4, bands), np.uint8)
    return np.asarray(cv2.resize(small, (16, 16), interpolation=cv2.INTER_NEAREST), np.uint8).reshape(16, 16, bands)


def picture(number: int, rng: np.random.Generator, bands: int = 1) -> NDArray[np.uint8]:
    noise = rng.integers(-25, 26, (16, 16, bands))
    return np.clip(pattern(number, bands).astype(int) + noise, 0, 255).astype(np.uint8)


def write_folder(root: Path, classes: int = 8, each: int = 6, bands: int = 1) -> Path:
    """A folder of PNGs, one subfolder a class."""
    rng = np.random.default_rng(0)
    for number in range(classes):
        folder = root / f"class{number}"
        folder.mkdir(parents=True)
        for item in range(each):
            image = picture(number, rng, bands)
            assert cv2.imwrite(str(folder / f"{item}.png"), image[..., ::-1])
    return root


def series(number: int, rng: np.random.Generator, steps: int = 40) -> NDArray[np.float32]:
    """A wave whose frequency is its class's, of random phase."""
    at = np.arange(steps) / 40
    return np.asarray(np.sin(2 * np.pi * (1 + number) * at + rng.uniform(0, 1)) + rng.normal(0, 0.1, steps), np.float32)
