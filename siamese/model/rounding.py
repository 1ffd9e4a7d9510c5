"""Probabilities in 256 steps, so that they can be kept in a byte and decided from again with the same result.

Steps are even in the arcsine of the square root, which is fine where probabilities are near 0 or 1 and their odds
matter, and 0.6 % wide around 0.5. A step's value is its middle, so that none is exactly 0 or 1; a probability of 0.5
lies on the border of two steps, so that rounding moves none across it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Steps = npt.NDArray[np.uint8]

_COUNT = 256
_FINEST = 65535
_LEAST = np.float32(1e-30)
_VALUES = (np.sin(np.pi / 2 * (np.arange(_COUNT) + 0.5) / _COUNT) ** 2).astype(np.float32)
_STEPS = np.minimum(
    np.floor(np.arcsin(np.sqrt(np.arange(_FINEST + 1) / _FINEST)) * 2 / np.pi * _COUNT), _COUNT - 1
).astype(np.uint8)
_ROUNDED = _VALUES[_STEPS]


def to_steps(probabilities: Floats) -> Steps:
    """The step of each probability; same shape."""
    return np.take(_STEPS, _places(probabilities))


def from_steps(steps: Steps) -> Floats:
    """The probability that each step stands for; same shape."""
    return np.take(_VALUES, steps)


def rounded_to_steps(probabilities: Floats) -> Floats:
    """The probability that the step of each one stands for; same shape."""
    return np.take(_ROUNDED, _places(probabilities))


def damage_to_steps(damage: Floats) -> Steps:
    """The steps of damage probabilities, each class against the more severe ones.

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
    return to_steps(shares)


def damage_from_steps(steps: Steps) -> Floats:
    """Damage probabilities ``(4, ...)`` of ``(3, ...)`` steps; they sum to 1."""
    share, left = from_steps(steps), from_steps(_COUNT - 1 - steps)
    more = left[0] * left[1]
    return np.stack([share[0], left[0] * share[1], more * share[2], more * left[2]])


def _places(probabilities: Floats) -> npt.NDArray[np.uint16]:
    return (probabilities * _FINEST + np.float32(0.5)).astype(np.uint16)
