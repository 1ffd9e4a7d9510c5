"""The loader alone: crops per second from already decoded scenes, by number of preparing threads."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import cv2
import numpy as np
from numpy.typing import NDArray

from card.measuring import Figures, Scale, report
from siamese.learning.loader import Loader
from siamese.params import TrainingParams
from siamese.training.crops import CropSource

Image = NDArray[np.uint8]
_BLOCK = 128


@dataclass(frozen=True)
class MadeScene:
    """The part of an entry in a pair set's index that crops need."""

    scene: str
    height: int
    width: int
    pixels: NDArray[np.int64]
    disaster_type: str = "earthquake"
    pre_bands: int = 3
    post_bands: int = 3
    block_px: int = _BLOCK


class MadeReader:
    """A reader of random scenes in memory."""

    pair_set = SimpleNamespace(digest="made up")

    def __init__(self, scenes: int, side: int) -> None:
        rng = np.random.default_rng(0)
        self._images = rng.integers(0, 256, (scenes, 2, side, side, 3), np.uint8)
        self._masks = np.kron(rng.integers(0, 5, (scenes, side // 16, side // 16)), np.ones((16, 16), np.int64))
        blocks = side // _BLOCK or 1
        counts = rng.integers(0, 1000, (scenes, blocks, blocks, 6))
        self._entries = tuple(MadeScene(str(number), side, side, counts[number]) for number in range(scenes))

    def scenes(self, split: str) -> tuple[MadeScene, ...]:
        """Returns all scenes, as training scenes."""
        return self._entries if split == "train" else ()

    def crop(self, scene: str, row: int, col: int, size: int) -> tuple[Image, Image, Image]:
        """Returns a window of a scene."""
        window = np.s_[row : row + size, col : col + size]
        pre, post = (image[window] for image in self._images[int(scene)])
        return pre, post, self._masks[int(scene)][window].astype(np.uint8)


def loading(scale: Scale, encoder: str) -> None:
    """Measures crops as training cuts, resizes and augments them."""
    del encoder
    cv2.setNumThreads(1)
    params = TrainingParams(batch=scale.of(64, 2), crop_px=scale.of(256, 64))
    source = CropSource(MadeReader(scale.of(16, 2), scale.of(1024, 128)), params)  # type: ignore[arg-type]

    def measured(threads: int) -> Figures:
        steps, done = scale.of(200, 3), 0
        with Loader(source.batch, threads) as loader:
            batches = loader.batches(0, steps + 1)
            next(batches)
            began = time.perf_counter()
            while done < steps and (done < 2 or time.perf_counter() - began < 4):
                next(batches)
                done += 1
            return {"crops_per_second": done * params.batch / (time.perf_counter() - began)}

    cores = os.cpu_count() or 1
    for threads in sorted({1, 2, 4, 8, 16} & set(range(1, cores + 1)) | {min(cores, 16)}):
        report(f"{threads} threads", partial(measured, threads))
