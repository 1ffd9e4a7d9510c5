"""Which crops a step shows: a pure function of seed and step, so that a resumed training goes on as if never cut."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siamese.errors import SiameseError
from siamese.pairs import PairReader, SceneEntry
from siamese.params import TrainingParams
from siamese.training.augment import Crop, Image, augment

Batch = tuple[Tensor, Tensor, Tensor]
"""pre and post ``(N, 3, S, S)`` uint8, channels last; mask ``(N, S, S)`` uint8."""


class CropSource:
    """Draws and prepares training crops."""

    def __init__(self, reader: PairReader, params: TrainingParams) -> None:
        """Takes the train split of ``reader``.

        Raises:
            SiameseError: It holds no scene, or a scene is not RGB.
        """
        self._reader, self._params = reader, params
        self.scenes = reader.scenes("train")
        if not self.scenes:
            raise SiameseError(
                "has no training scenes", where=reader.pair_set.digest, fix="lower val_share, test_share"
            )
        check_rgb(self.scenes)
        side = params.crop_px
        crops = sum(max(1.0, entry.height / side) * max(1.0, entry.width / side) for entry in self.scenes)
        self.steps_an_epoch = max(1, round(crops / params.batch))

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        crops = [self._crop(step, place) for place in range(self._params.batch)]
        pre, post = (
            torch.from_numpy(np.stack([getattr(crop, date) for crop in crops])).permute(0, 3, 1, 2)
            for date in ("pre", "post")
        )
        return pre, post, torch.from_numpy(np.stack([crop.mask for crop in crops]))

    def _crop(self, step: int, place: int) -> Crop:
        params = self._params
        rng = np.random.default_rng((params.seed, step, place))
        entry = self._scene(step * params.batch + place)
        size = round(params.crop_px / (1 + rng.uniform(-params.zoom, params.zoom)))
        row, col = self._window(entry, size, rng)
        crop = Crop(*self._reader.crop(entry.scene, row, col, size))
        return augment(_resized(crop, params.crop_px), params, rng)

    def _scene(self, number: int) -> SceneEntry:
        return self.scenes[shuffled(number, len(self.scenes), self._params.seed)]

    def _window(self, entry: SceneEntry, size: int, rng: np.random.Generator) -> tuple[int, int]:
        """The most damaged of a few windows, by the counts in the index; so a rejected one costs no reading."""
        tries = int(rng.integers(1, self._params.crop_candidates + 1))
        rows = rng.integers(0, max(1, entry.height - size + 1), tries)
        cols = rng.integers(0, max(1, entry.width - size + 1), tries)
        damage = entry.pixels[..., 1:5] @ np.asarray(self._params.crop_weights)
        amounts = [window_sum(damage, int(r), int(c), size, entry.block_px) for r, c in zip(rows, cols, strict=True)]
        best = int(np.argmax(amounts))
        return int(rows[best]), int(cols[best])


def shuffled(number: int, count: int, seed: int) -> int:
    """Which of ``count`` things comes at position ``number``: each once a round, each round in an order of its own."""
    turn, place = divmod(number, count)
    return int(np.random.default_rng((seed, turn)).permutation(count)[place])


def window_sum(amounts: NDArray[np.float64], row: int, col: int, size: int, block_px: int) -> float:
    """About how much of what is counted by block lies in a window: each block by the share that the window covers."""

    def share(start: int, blocks: int) -> NDArray[np.float64]:
        edges = np.arange(blocks) * block_px
        covered = np.minimum(edges + block_px, start + size) - np.maximum(edges, start)
        return np.clip(covered / block_px, 0, 1)

    return float(share(row, amounts.shape[0]) @ amounts @ share(col, amounts.shape[1]))


def check_rgb(scenes: Sequence[SceneEntry]) -> None:
    """Refuses scenes that the network cannot take.

    Raises:
        SiameseError: A scene has another number of bands than three; it names the first.
    """
    for entry in scenes:
        if (entry.pre_bands, entry.post_bands) != (3, 3):
            what = f"has {entry.pre_bands} bands before and {entry.post_bands} after; this network takes 3 and 3"
            raise SiameseError(what, where=entry.scene, fix="leave it out, or give it as RGB")


def _resized(crop: Crop, side: int) -> Crop:
    if crop.mask.shape[0] == side:
        return crop
    smooth = cv2.INTER_AREA if crop.mask.shape[0] > side else cv2.INTER_LINEAR

    def resized(image: Image, interpolation: int) -> Image:
        return np.asarray(cv2.resize(image, (side, side), interpolation=interpolation), np.uint8)

    return Crop(resized(crop.pre, smooth), resized(crop.post, smooth), resized(crop.mask, cv2.INTER_NEAREST))
