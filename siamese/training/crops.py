"""Selects the crops of a step: a pure function of seed and step, so that a resumed run continues unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siamese.classes import disaster_number
from siamese.errors import SiameseError
from siamese.geo import by_fours, check_bands
from siamese.learning.augment import Image, shuffled
from siamese.params import TrainingParams
from siamese.training.augment import Crop, augment, dilated

if TYPE_CHECKING:  # Crops can be drawn from any reader, also without storage.
    from siamese.pairs import PairReader, SceneEntry


class Batch(NamedTuple):
    """The crops of a step.

    Attributes:
        pre: ``(N, bands, S, S)`` uint8, channels last.
        post: The same after the disaster, with its own number of bands.
        mask: ``(N, S, S)`` uint8: 0 background, 1..4 damage, 255 ignored.
        disaster: ``(N,)`` int64, positions in :data:`siamese.classes.DISASTER_TYPES`.
    """

    pre: Tensor
    post: Tensor
    mask: Tensor
    disaster: Tensor


class CropSource:
    """Draws and prepares training crops."""

    def __init__(
        self,
        reader: PairReader,
        params: TrainingParams,
        *,
        bands: tuple[int, int] = (3, 3),
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Prepares to draw from the train split of ``reader``.

        Args:
            reader: The pair set.
            params: Determines what a step shows.
            bands: Number of bands of the pre and of the post image, as the network takes them.
            rank: This process's rank; each process prepares its share of every batch.
            world: Number of processes.

        Raises:
            SiameseError: The split is empty, a scene has other bands, or a batch cannot be divided evenly.
        """
        check_shares(params, world)
        self._reader, self._params = reader, params
        own = params.batch // world
        # Batch norm and losses see the shares of all processes together, so each process prepares part of every batch.
        self._places = [
            batch * params.batch + rank * own + place for batch in range(params.accumulate) for place in range(own)
        ]
        self.scenes = reader.scenes("train")
        if not self.scenes:
            raise SiameseError(
                "has no training scenes", where=reader.pair_set.digest, fix="lower val_share, test_share"
            )
        check_scenes(self.scenes, bands)
        self._round = [entry for entry in self.scenes for _ in range(repeats(entry, params))]
        side = params.crop_px
        crops = sum(max(1.0, entry.height / side) * max(1.0, entry.width / side) for entry in self.scenes)
        self.steps_an_epoch = max(1, round(crops / params.crops_a_step))

    def batch(self, step: int) -> Batch:
        """Returns this process's share of the crops of a step."""
        crops, disasters = zip(*(self._crop(step, place) for place in self._places), strict=True)
        pre, post = (
            torch.from_numpy(np.stack([getattr(crop, date) for crop in crops])).permute(0, 3, 1, 2)
            for date in ("pre", "post")
        )
        mask = torch.from_numpy(np.stack([crop.mask for crop in crops]))
        return Batch(pre, post, mask, torch.tensor(disasters, dtype=torch.int64))

    def _crop(self, step: int, place: int) -> tuple[Crop, int]:
        """Returns a crop and the index of its disaster type."""
        params = self._params
        rng = np.random.default_rng((params.seed, step, place))
        entry = self._scene(step * params.crops_a_step + place)
        size = round(params.crop_px / (1 + rng.uniform(-params.zoom, params.zoom)))
        row, col = self._window(entry, size, rng)
        crop = Crop(*self._reader.crop(entry.scene, row, col, size))
        crop = _resized(crop, params.crop_px)
        crop = augment(crop, params, rng)
        crop = replace(crop, mask=dilated(crop.mask, params.dilate_px))
        known = rng.random() >= params.unknown_disaster
        return crop, disaster_number(entry.disaster_type) if known else 0

    def _scene(self, number: int) -> SceneEntry:
        return self._round[shuffled(number, len(self._round), self._params.seed)]

    def _window(self, entry: SceneEntry, size: int, rng: np.random.Generator) -> tuple[int, int]:
        """Returns the most damaged of a few windows, by the counts in the index, so a rejected one costs no reading."""
        tries = int(rng.integers(1, self._params.crop_candidates + 1))
        rows = rng.integers(0, max(1, entry.height - size + 1), tries)
        cols = rng.integers(0, max(1, entry.width - size + 1), tries)
        damage = entry.pixels[..., 1:5] @ np.asarray(self._params.crop_weights)
        amounts = [window_sum(damage, int(r), int(c), size, entry.block_px) for r, c in zip(rows, cols, strict=True)]
        best = int(np.argmax(amounts))
        return int(rows[best]), int(cols[best])


def repeats(entry: SceneEntry, params: TrainingParams) -> int:
    """Returns how often a round over the scenes shows one, depending on which rare damage classes it contains."""
    _, minor, major, destroyed = (entry.pixels[..., number].any() for number in range(1, 5))
    undamaged, once_destroyed, partly = params.scene_repeats
    if minor or major:
        return partly
    return once_destroyed if destroyed else undamaged


def check_shares(params: TrainingParams, world: int) -> None:
    """Rejects a batch that several processes cannot share evenly.

    Raises:
        SiameseError: The batch cannot be divided evenly.
    """
    if params.batch % world:
        what = f"{params.batch} crops cannot be shared by {world} processes"
        raise SiameseError(what, where="training.batch", fix=f"give a multiple of {world}")


def window_sum(amounts: NDArray[np.float64], row: int, col: int, size: int, block_px: int) -> float:
    """Estimates the sum of per-block counts in a window: each block counts by the fraction that the window covers."""

    def share(start: int, blocks: int) -> NDArray[np.float64]:
        edges = np.arange(blocks) * block_px
        covered = np.minimum(edges + block_px, start + size) - np.maximum(edges, start)
        return np.clip(covered / block_px, 0, 1)

    return float(share(row, amounts.shape[0]) @ amounts @ share(col, amounts.shape[1]))


def check_scenes(scenes: Sequence[SceneEntry], bands: tuple[int, int]) -> None:
    """Rejects scenes that the network cannot take.

    Raises:
        SiameseError: A scene has other bands; the message names the first such scene.
    """
    for entry in scenes:
        check_bands(entry.scene, (entry.pre_bands, entry.post_bands), bands)


def _resized(crop: Crop, side: int) -> Crop:
    if crop.mask.shape[0] == side:
        return crop
    smooth = cv2.INTER_AREA if crop.mask.shape[0] > side else cv2.INTER_LINEAR

    def resized(image: Image) -> Image:
        return by_fours(image, lambda bands: cv2.resize(bands, (side, side), interpolation=smooth))

    mask = np.asarray(cv2.resize(crop.mask, (side, side), interpolation=cv2.INTER_NEAREST), np.uint8)
    return Crop(resized(crop.pre), resized(crop.post), mask)
