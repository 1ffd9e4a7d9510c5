"""Compares what imagery looks like with the images that a network was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from siamese.manifests import PairSet
from siamese.mapping.mosaic import Image, Mask
from siamese.mapping.obscured import measure
from siamese.pairs import PairReader
from siamese.store import ObjectStore

PATCH_PX: Final = 256
FEATURES: Final = tuple(
    f"{date} {what}" for date in ("pre", "post") for what in ("brightness", "contrast", "colour", "sharpness")
)
"""What is measured of a patch, in order."""
_SCENES: Final = 48
_LEAST: Final = 8
"""From this many patches on, their range is taken for what was learned."""
_PERCENT: Final = (1.0, 99.0)
_MARGIN: Final = 0.25
"""Share of the learned range that a patch may lie beyond it."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LearnedLook:
    """The range of each of :data:`FEATURES` in the images that a network was trained on."""

    low: Floats
    high: Floats

    def inside(self, looks: Sequence[Sequence[float]]) -> float | None:
        """Returns the share of patches that look like what was learned; None without patches."""
        if not looks:
            return None
        margin = _MARGIN * (self.high - self.low)
        found = np.asarray(looks, np.float64)
        within = (found >= self.low - margin) & (found <= self.high + margin)
        return float(within.all(axis=1).mean())

    def odd(self, looks: Sequence[Sequence[float]]) -> tuple[str, ...]:
        """Returns what is mostly beyond the learned range, such as ``post brightness high``."""
        middle = np.median(np.asarray(looks, np.float64), axis=0)
        margin = _MARGIN * (self.high - self.low)
        low, high = middle < self.low - margin, middle > self.high + margin
        return tuple(
            f"{name} {'low' if below else 'high'}"
            for name, below, above in zip(FEATURES, low, high, strict=True)
            if below or above
        )


def look_of(pre: Image, post: Image, seen: tuple[Mask, Mask]) -> tuple[float, ...] | None:
    """Returns :data:`FEATURES` of a patch; None if half of it or more is missing on a date.

    Args:
        pre: ``(h, w, bands)``.
        post: ``(h, w, bands)``.
        seen: ``(h, w)`` validity of each.
    """
    if min(float(one.mean()) for one in seen) < 0.5:
        return None
    values: list[float] = []
    for image, valid in zip((pre, post), seen, strict=True):
        found = measure(image, valid)
        known = found.valid >= 0.25
        features = (found.mean, found.deviation, found.colour, np.log10(np.maximum(found.fineness, 1e-4)))
        values += [float(np.mean(one[known])) for one in features]
    return tuple(values)


def learned_look(pairs: PairSet, store: ObjectStore) -> LearnedLook | None:
    """Returns the look of a pair set's training images, from patches of scenes spread over it; None for too few.

    Raises:
        SiameseError: The pair set is damaged.
    """
    reader = PairReader(store, pairs, cache=None)
    scenes = reader.scenes("train")
    found = []
    for entry in scenes[:: max(1, len(scenes) // _SCENES)]:
        row, col = max(0, entry.height - PATCH_PX) // 2, max(0, entry.width - PATCH_PX) // 2
        pre, post, _ = reader.crop(entry.scene, row, col, PATCH_PX)
        seen = np.asarray(pre.any(axis=2), bool), np.asarray(post.any(axis=2), bool)
        look = look_of(pre, post, seen)
        if look is not None:
            found.append(look)
    if len(found) < _LEAST:
        return None
    low, high = np.percentile(np.array(found, np.float64), _PERCENT, axis=0)
    return LearnedLook(low, high)
