"""CutMix (Yun et al. 2019) for rare classes: damaged buildings of one scene are pasted into a crop of another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from siamese.pairs import PairReader, SceneEntry
from siamese.params import TrainingParams
from siamese.training.augment import Crop

_MARGIN_PX = (4, 33)
"""How much of its surroundings a pasted building brings along, from and below."""


class CutMix:
    """Finds damaged buildings by the counts in the index, and pastes them with their surroundings."""

    def __init__(self, reader: PairReader, scenes: Sequence[SceneEntry], params: TrainingParams) -> None:
        """Takes every block of some scenes that holds damage; those with more of it are drawn more often."""
        self._reader, self._params = reader, params
        self._blocks: dict[str, list[tuple[SceneEntry, int, int]]] = defaultdict(list)
        amounts: dict[str, list[float]] = defaultdict(list)
        for entry in scenes:
            damage = entry.pixels[..., 2:5] @ np.asarray(params.crop_weights[1:])
            for row, col in np.argwhere(damage > 0).tolist():
                self._blocks[entry.disaster_type].append((entry, row, col))
                amounts[entry.disaster_type].append(float(damage[row, col]))
        self._sums = {name: np.cumsum(found) for name, found in amounts.items()}

    def mixed(self, crop: Crop, disaster_type: str, rng: np.random.Generator) -> Crop:
        """A crop, now and then with a damaged building from where the same kind of disaster struck."""
        if rng.random() >= self._params.cutmix or disaster_type not in self._blocks:
            return crop
        piece = self._piece(disaster_type, rng)
        return crop if piece is None else pasted(crop, piece, rng)

    def _piece(self, disaster_type: str, rng: np.random.Generator) -> Crop | None:
        """A damaged building with its surroundings; None where the window has cut all of them off."""
        sums = self._sums[disaster_type]
        place = int(np.searchsorted(sums, rng.random() * sums[-1], "right"))
        entry, row, col = self._blocks[disaster_type][place]
        whole = self._params.crop_px
        side = min(whole, max(whole // 2, entry.block_px))
        top, left = (number * entry.block_px + (entry.block_px - side) // 2 for number in (row, col))
        pre, post, mask = self._reader.crop(entry.scene, top, left, side)
        damaged = ((mask >= 2) & (mask <= 4)).astype(np.uint8)
        count, _, boxes, _ = cv2.connectedComponentsWithStats(damaged, connectivity=8)
        if count < 2:
            return None
        x, y, width, height = boxes[int(rng.integers(1, count)), :4].tolist()
        margin = int(rng.integers(*_MARGIN_PX))
        rows, cols = (slice(max(0, at - margin), at + size + margin) for at, size in ((y, height), (x, width)))
        return Crop(pre[rows, cols], post[rows, cols], mask[rows, cols])


def pasted(crop: Crop, piece: Crop, rng: np.random.Generator) -> Crop:
    """A copy of a crop with a smaller one somewhere in it: both images and the mask alike."""
    (height, width), side = piece.mask.shape, crop.mask.shape[0]
    top, left = int(rng.integers(side - height + 1)), int(rng.integers(side - width + 1))
    changed = {name: getattr(crop, name).copy() for name in ("pre", "post", "mask")}
    for name, image in changed.items():
        image[top : top + height, left : left + width] = getattr(piece, name)
    return replace(crop, **changed)
