"""Estimates how right a map is from a stratified random sample of its buildings: pure functions on counts.

The strata are the classes that the map gave, so every label belongs to one. Point estimates are the unbiased ones
of stratified sampling (Cochran 1977, "Sampling Techniques", 5.3 and 5.11; Olofsson et al. 2014, "Good practices for
estimating area and assessing accuracy of land change"), standard errors likewise, with the finite population
correction.

Their usual interval, two standard errors to either side, fails for rare classes and few labels: a stratum in which no
label of a class was found has a standard error of 0, and the interval covers the truth far less often than it says.
The intervals here are beta-binomial instead (Cochran 1977, 3.6): of the buildings in a stratum that nobody labelled, an
unknown share is of the class, and the labels say how likely each share is. Labelled buildings are what they are, so
where all are labelled the interval has no width.

The two ends of an interval use different laws of that share, as exact intervals do (Clopper and Pearson 1934, "The Use
of Confidence or Fiducial Limits Illustrated in the Case of the Binomial"): with x of n labels, Beta(x, n - x + k) for
the end with fewer buildings of the class, and Beta(x + k, n - x) for the end with more. Any single law must fail: in a
large stratum with few buildings of a rare class, one label of it alone would move the lower end above the truth. Strata
are combined by drawing from each (melding; Fay, Proschan and Brittain 2015, "Combining One-Sample Confidence Procedures
for Inference in the Two-Sample Case").
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from siamese.classes import DAMAGE_CLASSES
from siamese.manifests import ClassAssessment, Interval

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_CLASSES: Final = len(DAMAGE_CLASSES)
_LEVELS: Final = (0.025, 0.975)
_DRAWS: Final = 20_000
_TINY: Final = 1e-12
_CAUTION: Final = 1 / 3
"""The k above, in labels. 1 is exact for one stratum, but for a sum of strata wider than need be; this was chosen by
coverage and width in simulations, ``benchmarks/intervals.py``."""
_OWN_SHARE, _OTHER_SHARE = 2 / 3, 1 / 4
"""Share of a stratum without a label that is taken to be of the class it was mapped to, and of any other class."""
_Ends: TypeAlias = tuple[Floats, Floats]
"""Draws for the lower and for the upper end of an interval."""


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
    f1 = tuple(np.mean([ends[side] for _, ends in classes], axis=0) for side in (0, 1))
    return Estimates(
        classes={name: found for name, (found, _) in zip(DAMAGE_CLASSES, classes, strict=True)},
        damaged=damaged,
        accuracy=_accuracy(sampled, rng, draws),
        macro_f1=_interval(float(np.mean([found.f1.estimate for found, _ in classes])), (f1[0], f1[1])),
    )


def _class(
    sampled: Sampled, members: tuple[int, ...], rng: np.random.Generator, draws: int
) -> tuple[ClassAssessment, _Ends]:
    """Estimates for a class, or several taken as one; also the draws behind the interval of F1."""
    own = np.isin(np.arange(len(sampled.population)), members)
    found = sampled.truth[:, list(members)].sum(axis=1)
    labelled = sampled.truth.sum(axis=1)
    known = int(sampled.known[list(members)].sum())
    share = _shares(found, labelled, own)
    expected = sampled.population * share
    fewest, most = _draw(sampled.population, found, labelled, rng, draws)
    # Buildings of the class that are mapped to it, and that are mapped to others.
    few_hits, many_hits = (drawn[:, own].sum(axis=1) + known for drawn in (fewest, most))
    few_others, many_others = (drawn[:, ~own].sum(axis=1) for drawn in (fewest, most))
    mapped = int(sampled.population[own].sum()) + known
    hits, total = expected[own].sum() + known, expected.sum() + known
    variance = _variance(sampled.population, labelled, share)
    recall = _ratio(few_hits, few_hits + many_others), _ratio(many_hits, many_hits + few_others)
    f1 = _f1(few_hits, mapped, few_hits + many_others), _f1(many_hits, mapped, many_hits + few_others)
    assessment = ClassAssessment(
        mapped=mapped,
        labelled=int(found.sum()),
        precision=_interval(float(_ratio(hits, mapped)), (_ratio(few_hits, mapped), _ratio(many_hits, mapped))),
        recall=_interval(float(_ratio(hits, total)), recall),
        f1=_interval(float(_f1(hits, mapped, total)), f1),
        buildings=_interval(float(total), (few_hits + few_others, many_hits + many_others)),
        standard_error=float(np.sqrt(variance)),
    )
    return assessment, f1


def _accuracy(sampled: Sampled, rng: np.random.Generator, draws: int) -> Interval:
    """Estimates the share of right buildings among those that the map gives a class."""
    right, labelled = np.diag(sampled.truth)[:_CLASSES], sampled.truth.sum(axis=1)[:_CLASSES]
    population, own = sampled.population[:_CLASSES], np.ones(_CLASSES, bool)
    known = int(sampled.known.sum())
    total = int(population.sum()) + known
    few, many = (drawn.sum(axis=1) + known for drawn in _draw(population, right, labelled, rng, draws))
    hits = float((population * _shares(right, labelled, own)).sum()) + known
    return _interval(float(_ratio(hits, total)), (_ratio(few, total), _ratio(many, total)))


def _shares(found: Counts, labelled: Counts, own: npt.NDArray[np.bool_]) -> Floats:
    """Returns the sampled share of each stratum; a guess where nothing was labelled."""
    guess = np.where(own, _OWN_SHARE, _OTHER_SHARE)
    return np.where(labelled > 0, found / np.maximum(labelled, 1), guess)


def _draw(
    population: Counts, found: Counts, labelled: Counts, rng: np.random.Generator, draws: int
) -> tuple[Counts, Counts]:
    """Draws how many buildings of each stratum are of the class given the labels.

    Returns:
        ``(draws, strata)`` twice: for the end of an interval with fewer of them, and for the end with more.
    """
    rest, size = np.maximum(population - labelled, 0), (draws, len(population))
    against = labelled - found
    fewest = rng.binomial(rest, _beta(found, against + _CAUTION, rng, size))
    most = rng.binomial(rest, _beta(found + _CAUTION, against, rng, size))
    return found + fewest, found + most


def _beta(for_it: npt.ArrayLike, against: npt.ArrayLike, rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Draws from beta laws; one whose first parameter is 0 lies at 0, one whose second is 0 at 1."""
    drawn = rng.beta(np.maximum(for_it, _TINY), np.maximum(against, _TINY), size=size)
    return np.where(np.equal(for_it, 0), 0.0, np.where(np.equal(against, 0), 1.0, drawn))


def _variance(population: Counts, labelled: Counts, share: Floats) -> float:
    """Returns the design-based variance of a total (Cochran 1977, 5.3), with the finite population correction."""
    rest = 1 - labelled / np.maximum(population, 1)
    terms = population**2 * rest * share * (1 - share) / np.maximum(labelled - 1, 1)
    return float(np.where(population > 0, terms, 0).sum())


def _interval(value: float, ends: tuple[npt.NDArray[np.number], npt.NDArray[np.number]]) -> Interval:
    low, high = (float(np.quantile(drawn, level)) for drawn, level in zip(ends, _LEVELS, strict=True))
    return Interval(estimate=value, low=min(value, low), high=max(value, high))


def _f1(hits: npt.ArrayLike, mapped: int, total: npt.ArrayLike) -> Floats:
    return _ratio(2 * np.asarray(hits), mapped + np.asarray(total))


def _ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> Floats:
    """Divides; 0 by 0 is 0."""
    whole = np.asarray(whole, np.float64)
    return np.asarray(np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0))
