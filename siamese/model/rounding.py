"""Quantizes probabilities to 256 steps, so that they fit in a byte and still give the same decisions when read back.

Steps are even in the arcsine of the square root, which is fine-grained near 0 and 1, where the odds matter, and
0.6 % wide around 0.5. The thresholds of a decision lie on borders of steps, so that rounding moves no
probability across one. A step's value is its middle, so that none is exactly 0 or 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Steps = npt.NDArray[np.uint8]

_COUNT = 256
_FINEST = 65535
_LEAST = np.float32(1e-30)


@dataclass(frozen=True, eq=False)
class Scale:
    """The quantization steps of one kind of probability.

    Attributes:
        values: ``(256,)`` the probability that each step represents.
        steps: ``(65536,)`` the step of each probability, in units of 1/65535.
    """

    values: Floats
    steps: Steps

    def encode(self, probabilities: Floats) -> Steps:
        """Returns the step of each probability; same shape."""
        return np.take(self.steps, (probabilities * _FINEST + np.float32(0.5)).astype(np.uint16))

    def decode(self, steps: Steps) -> Floats:
        """Returns the probability that each step represents; same shape."""
        return np.take(self.values, steps)


@lru_cache(64)
def scale(*thresholds: float) -> Scale:
    """Returns the scale with each of the given thresholds replacing the step border nearest to it."""
    borders = np.arange(_COUNT + 1) / _COUNT
    free = np.arange(1, _COUNT)
    for angle in sorted({_angle(threshold) for threshold in thresholds if 0 < threshold < 1}):
        nearest = np.abs(borders[free] - angle).argmin()
        borders[free[nearest]] = angle
        free = np.delete(free, nearest)
    borders.sort()
    middles = (borders[1:] + borders[:-1]) / 2
    every = np.arcsin(np.sqrt(np.arange(_FINEST + 1) / _FINEST)) * 2 / np.pi
    steps = np.searchsorted(borders[1:-1], every, side="right")
    return Scale((np.sin(np.pi / 2 * middles) ** 2).astype(np.float32), steps.astype(np.uint8))


def encode_damage(damage: Floats) -> Steps:
    """Returns the steps of damage probabilities, each class relative to the more severe ones.

    Args:
        damage: ``(4, ...)``, sums to 1.

    Returns:
        ``(3, ...)``: no damage; minor damage, if there is any; major damage, if there is more than minor.
    """
    shares = np.empty((3, *damage.shape[1:]), np.float32)
    rest = damage[3]
    for number in (2, 1, 0):
        rest = rest + damage[number]
        np.divide(damage[number], np.maximum(rest, _LEAST), out=shares[number])
    return scale().encode(shares)


def decode_damage(steps: Steps) -> Floats:
    """Converts ``(3, ...)`` steps back to damage probabilities ``(4, ...)``, which sum to 1."""
    # Without thresholds the steps are symmetric: the remainder of a share is the share of the opposite step.
    share, left = scale().decode(steps), scale().decode(_COUNT - 1 - steps)
    more = left[0] * left[1]
    return np.stack([share[0], left[0] * share[1], more * share[2], more * left[2]])


def _angle(probability: float) -> float:
    return float(np.arcsin(np.sqrt(probability)) * 2 / np.pi)
