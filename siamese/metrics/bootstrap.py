"""The uncertainty of a score from the choice of scenes: a bootstrap over scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from siamese.classes import DAMAGE_CLASSES
from siamese.metrics.xview2 import DAMAGE_WEIGHT, EPSILON, LOCALIZATION_WEIGHT, Counts

LEVEL: Final = 0.95
_AT_ONCE: Final = 2_000_000
"""Number of weights drawn at a time; keeps memory constant in the number of scenes."""

Matrix = NDArray[np.float64]


class Interval(BaseModel):
    """Percentile interval of one figure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float


def bootstrap(scenes: Sequence[Counts], *, resamples: int, seed: int) -> dict[str, Interval]:
    """Returns the 95 % percentile interval of each official figure (Efron 1979), drawing scenes with replacement.

    Whole scenes are drawn, not pixels, because the pixels of a scene are not independent.

    Args:
        scenes: Counts of each scene; at least one scene.
        resamples: How often the scenes are drawn.
        seed: The same seed gives the same interval.

    Returns:
        Intervals by the names of :class:`siamese.manifests.Scores`.
    """
    rows = np.array([_row(counts) for counts in scenes], np.float64)
    drawn = [_figures(weights @ rows) for weights in _weights(len(rows), resamples, seed)]
    bounds = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    intervals: dict[str, Interval] = {}
    for name in drawn[0]:
        low, high = np.quantile(np.concatenate([figures[name] for figures in drawn]), bounds)
        intervals[name] = Interval(low=float(low), high=float(high))
    return intervals


def _row(counts: Counts) -> list[int]:
    tallies = (counts.localization, *counts.damage.values())
    return [number for tally in tallies for number in (tally.tp, tally.fp, tally.fn)]


def _weights(scenes: int, resamples: int, seed: int) -> Iterator[Matrix]:
    generator = np.random.default_rng(seed)
    step = max(1, _AT_ONCE // scenes)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        yield generator.multinomial(scenes, np.full(scenes, 1 / scenes), size=size).astype(np.float64)


def _figures(sums: Matrix) -> dict[str, Matrix]:
    tp, fp, fn = np.moveaxis(sums.reshape(len(sums), -1, 3), 2, 0)
    f1 = np.divide(2 * tp, 2 * tp + fp + fn, out=np.zeros_like(tp), where=tp > 0)
    localization, damage = f1[:, 0], f1[:, 1:]
    harmonic = len(DAMAGE_CLASSES) / (1 / (damage + EPSILON)).sum(axis=1)
    return {
        "score": LOCALIZATION_WEIGHT * localization + DAMAGE_WEIGHT * harmonic,
        "localization_f1": localization,
        "damage_f1": harmonic,
        **{f"damage_f1_{name}": damage[:, k] for k, name in enumerate(DAMAGE_CLASSES)},
    }
