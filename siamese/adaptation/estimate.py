"""Estimates how right a map is from a stratified random sample of its buildings: pure functions on counts.

The strata are the classes that the map gave, so every label belongs to one. Point estimates are the unbiased ones
of stratified sampling (Cochran 1977, "Sampling Techniques", 5.3 and 5.11; Olofsson et al. 2014, "Good practices for
estimating area and assessing accuracy of land change"), standard errors likewise, with the finite population
correction.

Their usual interval, two standard errors to either side, fails for rare classes and few labels: a stratum in which no
label of a class was found has a standard error of 0, and the interval covers the truth far less often than it says.
The intervals here are those of the beta-binomial model instead (Cochran 1977, 3.6; Brown, Cai and DasGupta 2001,
"Interval Estimation for a Binomial Proportion"): of the buildings in a stratum that nobody labelled, an unknown share
is of the class, and the labels say how likely each share is. Labelled buildings are what they are, so where all are
labelled the interval has no width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from siamese.classes import DAMAGE_CLASSES
from siamese.manifests import ClassAssessment, Interval

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_CLASSES: Final = len(DAMAGE_CLASSES)
_LEVELS: Final = (0.025, 0.975)
_DRAWS: Final = 20_000
_OWN: Final = (1.0, 0.5)
"""Prior of the share of a stratum that is of the class it was mapped to: labels for and against, before any."""
_OTHER: Final = (1 / 3, 1.0)
"""The same of any other class. Both were chosen by the coverage in simulations, ``tests/adaptation``."""


@dataclass(frozen=True)
class Sampled:
    """What is known of a map's buildings.

    Attributes:
        population: ``(5,)`` buildings that nobody had labelled before, by mapped class; the last are unknown.
        truth: ``(5, 5)`` labels of the sample: rows mapped class, columns true class; the last are no buildings.
        known: ``(4,)`` buildings whose class a person gave before: the map has it, and it is right.
    """

    population: Counts
    truth: Counts
    known: Counts


@dataclass(frozen=True)
class Estimates:
    """How right a map is."""

    classes: dict[str, ClassAssessment]
    damaged: ClassAssessment
    accuracy: Interval
    macro_f1: Interval


def allocate(population: Sequence[int], size: int, least: int) -> tuple[int, ...]:
    """Shares a sample out over strata: a minimum each, the rest by their sizes.

    Args:
        population: Buildings of each stratum.
        size: Buildings to draw.
        least: Of each stratum at least so many, as far as it has them and ``size`` suffices.
    """
    there = np.asarray(population, np.int64)
    size = int(min(size, there.sum()))
    strata = max(1, int((there > 0).sum()))
    taken = np.minimum(there, min(least, size // strata))
    while (left := size - int(taken.sum())) > 0:
        room = there - taken
        share = np.where(room > 0, there, 0) / there[room > 0].sum() * left
        more = np.minimum(np.floor(share).astype(np.int64), room)
        if not more.any():
            more[int(np.where(room > 0, share, -1.0).argmax())] = 1
        taken += more
    return tuple(int(count) for count in taken)


def random_order(ids: Sequence[str], key: str) -> Floats:
    """Returns a random number in 0..1 for each building that nobody can choose: a hash of its id and of the map."""
    digests = (hashlib.sha256(f"{key} {name}".encode()).digest()[:8] for name in ids)
    return np.array([int.from_bytes(digest, "big") for digest in digests], np.float64) / 2.0**64


def estimate(sampled: Sampled, seed: int = 0, draws: int = _DRAWS) -> Estimates:
    """Estimates precision, recall, F1 and the number of buildings of each class in the whole map.

    Args:
        sampled: Buildings and labels.
        seed: Of the draws behind the intervals.
        draws: How many.
    """
    rng = np.random.default_rng(seed)
    classes = [_class(sampled, (number,), rng, draws) for number in range(_CLASSES)]
    damaged, _ = _class(sampled, tuple(range(1, _CLASSES)), rng, draws)
    f1 = np.mean([drawn for _, drawn in classes], axis=0)
    return Estimates(
        classes={name: found for name, (found, _) in zip(DAMAGE_CLASSES, classes, strict=True)},
        damaged=damaged,
        accuracy=_accuracy(sampled, rng, draws),
        macro_f1=_interval(float(np.mean([found.f1.estimate for found, _ in classes])), f1),
    )


def _class(
    sampled: Sampled, members: tuple[int, ...], rng: np.random.Generator, draws: int
) -> tuple[ClassAssessment, Floats]:
    """Estimates for a class, or several taken as one."""
    own = np.isin(np.arange(len(sampled.population)), members)
    found = sampled.truth[:, list(members)].sum(axis=1)
    labelled = sampled.truth.sum(axis=1)
    known = int(sampled.known[list(members)].sum())
    share = _shares(found, labelled, own)
    expected = sampled.population * share
    drawn = _draw(sampled.population, found, labelled, own, rng, draws)
    mapped = int(sampled.population[own].sum()) + known
    hits, total = expected[own].sum() + known, expected.sum() + known
    drawn_hits, drawn_total = drawn[:, own].sum(axis=1) + known, drawn.sum(axis=1) + known
    variance = _variance(sampled.population, labelled, share)
    f1 = _ratio(2 * drawn_hits, mapped + drawn_total)
    assessment = ClassAssessment(
        mapped=mapped,
        labelled=int(found.sum()),
        precision=_interval(float(_ratio(hits, mapped)), _ratio(drawn_hits, mapped)),
        recall=_interval(float(_ratio(hits, total)), _ratio(drawn_hits, drawn_total)),
        f1=_interval(float(_ratio(2 * hits, mapped + total)), f1),
        buildings=_interval(float(total), drawn_total.astype(np.float64)),
        standard_error=float(np.sqrt(variance)),
    )
    return assessment, f1


def _accuracy(sampled: Sampled, rng: np.random.Generator, draws: int) -> Interval:
    """Estimates the share of right buildings among those that the map gives a class."""
    right, labelled = np.diag(sampled.truth)[:_CLASSES], sampled.truth.sum(axis=1)[:_CLASSES]
    population, own = sampled.population[:_CLASSES], np.ones(_CLASSES, bool)
    known = int(sampled.known.sum())
    total = int(population.sum()) + known
    drawn = _draw(population, right, labelled, own, rng, draws).sum(axis=1) + known
    hits = float((population * _shares(right, labelled, own)).sum()) + known
    return _interval(float(_ratio(hits, total)), _ratio(drawn, total))


def _shares(found: Counts, labelled: Counts, own: npt.NDArray[np.bool_]) -> Floats:
    """Returns the sampled share of each stratum; the prior's where nothing was labelled."""
    prior = np.where(own, _OWN[0] / sum(_OWN), _OTHER[0] / sum(_OTHER))
    return np.where(labelled > 0, found / np.maximum(labelled, 1), prior)


def _draw(
    population: Counts,
    found: Counts,
    labelled: Counts,
    own: npt.NDArray[np.bool_],
    rng: np.random.Generator,
    draws: int,
) -> Counts:
    """Draws how many buildings of each stratum are of the class, ``(draws, strata)``, given the labels."""
    for_it = found + np.where(own, _OWN[0], _OTHER[0])
    against = labelled - found + np.where(own, _OWN[1], _OTHER[1])
    share = rng.beta(for_it, against, size=(draws, len(population)))
    return np.asarray(found + rng.binomial(np.maximum(population - labelled, 0), share), np.int64)


def _variance(population: Counts, labelled: Counts, share: Floats) -> float:
    """Returns the design-based variance of a total (Cochran 1977, 5.3), with the finite population correction."""
    rest = 1 - labelled / np.maximum(population, 1)
    terms = population**2 * rest * share * (1 - share) / np.maximum(labelled - 1, 1)
    return float(np.where(population > 0, terms, 0).sum())


def _interval(value: float, drawn: Floats) -> Interval:
    low, high = np.quantile(drawn, _LEVELS)
    return Interval(estimate=value, low=min(value, float(low)), high=max(value, float(high)))


def _ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> Floats:
    """Divides; 0 by 0 is 0."""
    whole = np.asarray(whole, np.float64)
    return np.asarray(np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0))
