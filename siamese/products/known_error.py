"""The errors that a model is known to make, and what they mean for the numbers of buildings that it maps.

A model that took 20 of 100 destroyed buildings for no damage will do so again. An evaluation counts such errors on
labelled scenes: how many of the buildings mapped as a class were truly of each class, or none, and how many buildings
it missed. From them follow the true numbers behind a map's numbers, with an interval (Olofsson et al. 2014, "Good
practices for estimating area and assessing accuracy of land change"; the reverse of a confusion matrix).

The interval has three parts: few labels are no sure knowledge (a Dirichlet posterior for each mapped class), errors
differ from disaster to disaster (whole events are drawn with replacement, when several were evaluated), and so do
buildings of one area (each is drawn). It holds for scenes like the evaluated ones, not for ground that is unlike them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from siamese.classes import DAMAGE_CLASSES
from siamese.evaluation.report import Report
from siamese.manifests import Evaluation, Interval
from siamese.store import ObjectStore

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

DAMAGED: Final = "damaged"
"""Buildings with any damage: minor, major or destroyed."""
ROWS: Final = (*DAMAGE_CLASSES, DAMAGED)
_CLASSES: Final = len(DAMAGE_CLASSES)
_LEVELS: Final = (0.025, 0.975)
_PRIOR: Final = 0.5
"""Labels of each class that count before any: Jeffreys' prior."""
_DRAWS: Final = 1000
_AT_ONCE: Final = 1024
"""Areas whose draws are in memory."""
_MOST_MISSED: Final = 0.95
"""A class that was missed more often cannot be estimated from what was found; it counts as missed so often."""


@dataclass(frozen=True)
class KnownError:
    """How often a model confuses, invents and misses buildings.

    Attributes:
        events: ``(events, 5, 5)`` counts of each evaluated event: rows no building and the four true classes, columns
            missed and the four mapped classes.
        source: What was evaluated, for people.
    """

    events: Counts
    source: str

    @classmethod
    def of(cls, evaluation: Evaluation, store: ObjectStore) -> Self | None:
        """Reads an evaluation; None if it has no labelled building.

        Raises:
            SiameseError: Its report is missing or damaged.
        """
        report = Report.model_validate_json(evaluation.report.read(store))
        events = [np.array(one.buildings.confusion, np.int64) for one in report.events.values()]
        counts = np.stack(events) if events else np.zeros((0, _CLASSES + 1, _CLASSES + 1), np.int64)
        if not counts[:, 1:].any():
            return None
        told = f"{int(counts[:, 1:].sum()):,} labelled buildings of {len(events)} event{'s' * (len(events) != 1)}"
        return cls(counts, f"{told}, split {evaluation.split}")

    def estimate(self, mapped: npt.ArrayLike, *, draws: int = _DRAWS, seed: int = 0) -> list[dict[str, Interval]]:
        """Estimates the true numbers of buildings in areas.

        Args:
            mapped: ``(areas, 4)`` buildings of each mapped class.
            draws: Draws behind the intervals.
            seed: Of the draws.

        Returns:
            For each area the number of each class, and of :data:`DAMAGED`, with its 95 % interval.
        """
        found = np.asarray(mapped, np.int64).reshape(-1, _CLASSES)
        rng = np.random.default_rng(seed)
        errors = self._drawn(rng, draws)
        share, missed = self._expected()
        expected = np.einsum("aj,jk->ak", found, share[:, 1:]) / (1 - missed)
        estimates = []
        for start in range(0, len(found), _AT_ONCE):
            some = found[start : start + _AT_ONCE]
            estimates += _intervals(expected[start : start + _AT_ONCE], _truth(some, *errors, rng))
        return estimates

    def _drawn(self, rng: np.random.Generator, draws: int) -> tuple[Floats, Floats]:
        """Draws the shares of true classes among each mapped class, ``(n, 4, 5)``, and shares missed, ``(n, 4)``."""
        count = len(self.events)
        taken = rng.multinomial(count, np.full(count, 1 / count), size=draws)
        counts = np.einsum("ne,eij->nij", taken, self.events)
        # A Dirichlet draw is a vector of gamma draws, divided by its sum.
        gammas = rng.standard_gamma(np.swapaxes(counts[:, :, 1:], 1, 2) + _PRIOR)
        missed = rng.beta(counts[:, 1:, 0] + _PRIOR, counts[:, 1:, 1:].sum(axis=2) + _PRIOR)
        return gammas / gammas.sum(axis=2, keepdims=True), np.minimum(missed, _MOST_MISSED)

    def _expected(self) -> tuple[Floats, Floats]:
        counts = self.events.sum(axis=0) + _PRIOR
        share = (counts[:, 1:] / counts[:, 1:].sum(axis=0)).T
        missed = counts[1:, 0] / (counts[1:, 0] + (counts[1:, 1:] - _PRIOR).sum(axis=1) + _PRIOR)
        return share, np.minimum(missed, _MOST_MISSED)


def estimate_by_probabilities(total: Floats, variance: Floats) -> list[dict[str, Interval]]:
    """Estimates numbers of buildings from the probabilities of each, for a model that nobody evaluated.

    No estimate exceeds the buildings that were found. Probabilities are calibrated on the model's own validation scenes
    at most, so that the intervals are too narrow elsewhere.

    Args:
        total: ``(areas, 5)`` sums of the probabilities of each class, and of any damage.
        variance: ``(areas, 5)`` sums of p (1 - p).
    """
    spread = 1.96 * np.sqrt(variance)
    found = np.maximum(total[:, :_CLASSES].sum(axis=1), total[:, _CLASSES])[:, None]
    return _rows(total, np.maximum(total - spread, 0.0), np.minimum(total + spread, found))


def _truth(found: Counts, share: Floats, missed: Floats, rng: np.random.Generator) -> Counts:
    """Draws the true class of every mapped building and the buildings that were missed, ``(n, areas, 4)``."""
    truth = sum(rng.multinomial(found[:, column], share[:, None, column])[..., 1:] for column in range(_CLASSES))
    kept = np.asarray(truth, np.int64)
    # Of n true buildings each is missed by chance; given how many were found, the rest are negative binomial.
    more = np.where(kept > 0, rng.negative_binomial(np.maximum(kept, 1), 1 - missed[:, None]), 0)
    return np.asarray(kept + more, np.int64)


def _intervals(expected: Floats, drawn: Counts) -> list[dict[str, Interval]]:
    """Returns the intervals of areas: ``(areas, 4)`` expected numbers and ``(n, areas, 4)`` drawn ones."""
    values, draws = (np.append(each, each[..., 1:].sum(axis=-1, keepdims=True), axis=-1) for each in (expected, drawn))
    lows, highs = np.quantile(draws, _LEVELS, axis=0)
    return _rows(values, np.minimum(values, lows), np.maximum(values, highs))


def _rows(values: Floats, lows: Floats, highs: Floats) -> list[dict[str, Interval]]:
    return [
        {
            name: Interval(estimate=float(value), low=float(low), high=float(high))
            for name, value, low, high in zip(ROWS, *area, strict=True)
        }
        for area in zip(values, lows, highs, strict=True)
    ]
