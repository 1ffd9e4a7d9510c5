"""Pairs to verify, their figures, and the threshold that is chosen on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from siamese.errors import SiameseError
from siamese.manifests import Threshold
from siamese.similarity.data.items import Items, ListedPairs

Rule = Literal["eer", "f1", "far"]


def verification_pairs(items: Items, limit: int, seed: int, *, across: bool = False) -> ListedPairs | None:
    """Draws pairs of the same and of other items: listed ones if there are, else by class.

    Half of the other pairs of a class with forged items compare genuine with forged ones, the hardest there are.

    Args:
        items: The items of one split.
        limit: At most so many of each kind.
        seed: Of the draw.
        across: Each pair has an item of the first kind of input and one of the second, as a pseudo-Siamese network
            is asked.

    Returns:
        The pairs, or None where there are not both kinds.
    """
    rng = np.random.default_rng(seed)
    if items.pairs is not None:
        found = items.pairs
    else:
        if across:
            same, other = _same_across(items, limit, rng), _other_across(items, limit, rng)
        else:
            same, other = _same_pairs(items, limit, rng), _other_pairs(items, limit, rng)
        both = np.concatenate([same, other])
        found = ListedPairs(both[:, 0], both[:, 1], np.arange(len(both)) < len(same))
    return found if 0 < found.same.sum() < len(found.same) else None


def _same_pairs(items: Items, limit: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws pairs within classes: each class alike, no pair twice."""
    parts = []
    members = [np.flatnonzero((items.labels == number) & ~items.forged) for number in range(len(items.names))]
    members = [own for own in members if len(own) > 1]
    for own in members:
        share = max(1, limit // max(1, len(members)))
        whole = len(own) * (len(own) - 1) // 2
        if whole <= share:
            first, second = np.triu_indices(len(own), 1)
        else:
            first = rng.integers(len(own), size=share)
            second = (first + rng.integers(1, len(own), size=share)) % len(own)
        parts.append(np.stack([own[first], own[second]], 1))
    return np.concatenate(parts)[:limit] if parts else np.empty((0, 2), np.int64)


def _other_pairs(items: Items, limit: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws pairs across classes, and of genuine with forged items of one class."""
    genuine = np.flatnonzero(~items.forged)
    names = np.array(items.classes)
    hard: list[NDArray[np.int64]] = []
    for name in sorted(set(names[items.forged])):
        own, forged = np.flatnonzero((names == name) & ~items.forged), np.flatnonzero((names == name) & items.forged)
        if len(own):
            hard.append(np.stack(np.meshgrid(own, forged), -1).reshape(-1, 2))
    imitated = np.concatenate(hard) if hard else np.empty((0, 2), np.int64)
    imitated = imitated[rng.permutation(len(imitated))[: limit // 2]]
    wanted = limit - len(imitated)
    first, second = rng.choice(genuine, wanted * 2), rng.choice(genuine, wanted * 2)
    apart = names[first] != names[second]
    across = np.unique(np.sort(np.stack([first[apart], second[apart]], 1), 1), axis=0)
    across = across[rng.permutation(len(across))[:wanted]]
    return np.concatenate([imitated, across])


def _same_across(items: Items, limit: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws pairs of the two kinds of input within classes: each class alike, no pair twice."""
    parts = []
    for number in range(len(items.names)):
        own = (items.labels == number) & ~items.forged
        first, second = np.flatnonzero(own & (items.branch == 0)), np.flatnonzero(own & (items.branch == 1))
        if len(first) and len(second):
            parts.append((first, second))
    share = max(1, limit // max(1, len(parts)))
    drawn = [_some_of(first, second, share, rng) for first, second in parts]
    return np.concatenate(drawn)[:limit] if drawn else np.empty((0, 2), np.int64)


def _other_across(items: Items, limit: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws pairs of the two kinds of input across classes, and of genuine with forged items of one class."""
    names = np.array(items.classes)
    genuine = ~items.forged
    first, second = np.flatnonzero(genuine & (items.branch == 0)), np.flatnonzero(items.branch == 1)
    if not len(first) or not len(second):
        return np.empty((0, 2), np.int64)
    pairs = _some_of(first, second, 2 * limit, rng)
    other = np.flatnonzero((names[pairs[:, 0]] != names[pairs[:, 1]]) | items.forged[pairs[:, 1]])
    return np.take(pairs, other[:limit], 0)


def _some_of(
    first: NDArray[np.int64], second: NDArray[np.int64], limit: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draws different pairs of two sets, all of them if there are no more than the limit."""
    whole = len(first) * len(second)
    places = np.arange(whole) if whole <= limit else np.unique(rng.integers(whole, size=limit))
    places = rng.permutation(places)
    return np.stack([first[places // len(second)], second[places % len(second)]], 1)


@dataclass(frozen=True)
class Rates:
    """Error rates at every threshold, which rises from "nothing is the same" to "everything is".

    Attributes:
        thresholds: Distances at or below which two items are the same.
        false_accepts: Share of other pairs at or below each.
        false_rejects: Share of same pairs above each.
        f1: Of the same pairs, at each.
        auc: Area under the ROC curve.
        eer: Equal error rate.
    """

    thresholds: NDArray[np.float64]
    false_accepts: NDArray[np.float64]
    false_rejects: NDArray[np.float64]
    f1: NDArray[np.float64]
    auc: float
    eer: float


def error_rates(distances: NDArray[np.floating], same: NDArray[np.bool_]) -> Rates:
    """Measures the verification of pairs.

    Args:
        distances: One a pair.
        same: Whether each pair is the same; both kinds occur.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    accepts, hits, scores = roc_curve(same, -np.asarray(distances, np.float64), drop_intermediate=False)
    accepted_right, accepted_wrong = hits * same.sum(), accepts * (~same).sum()
    f1 = 2 * accepted_right / np.maximum(accepted_right + accepted_wrong + same.sum(), 1e-12)
    rejects = 1 - hits
    nearest = int(np.argmin(np.abs(accepts - rejects)))
    eer = float((accepts[nearest] + rejects[nearest]) / 2)
    return Rates(-scores, accepts, rejects, f1, float(roc_auc_score(same, -distances)), eer)


def choose_threshold(rates: Rates, rule: Rule, false_accepts: float, pairs: int) -> Threshold:
    """Chooses the distance at or below which two items are the same.

    Args:
        rates: Of the validation pairs.
        rule: ``eer``: false accepts and false rejects are equal; ``f1``: the best F1; ``far``: the most false accepts
            that are at most ``false_accepts``.
        false_accepts: The rate asked for.
        pairs: Number of pairs.

    Raises:
        SiameseError: No threshold keeps the rate and accepts anything.
    """
    match rule:
        case "eer":
            at = int(np.argmin(np.abs(rates.false_accepts - rates.false_rejects)))
        case "f1":
            at = int(np.argmax(rates.f1))
        case "far":
            at = int(np.flatnonzero(rates.false_accepts <= false_accepts)[-1])
    if not np.isfinite(rates.thresholds[at]) or rates.false_rejects[at] >= 1:
        if rule != "far":
            what = "every pair is as far apart as any other: the network has collapsed"
            raise SiameseError(what, where="similarity", fix="lower similarity.learning_rate, or train longer")
        what = f"no threshold reaches {false_accepts:g}: the nearest pair of all is of two classes"
        fix = "ask for a higher similarity.false_accepts, or train longer"
        raise SiameseError(what, where=f"similarity.threshold={rule}", fix=fix)
    # Between this pair's distance and the next, so that rounding on another machine does not decide.
    following = rates.thresholds[min(at + 1, len(rates.thresholds) - 1)]
    distance = (rates.thresholds[at] + following) / 2 if np.isfinite(following) else rates.thresholds[at]
    return Threshold(
        distance=float(distance),
        rule=rule,
        false_accepts=float(rates.false_accepts[at]),
        false_rejects=float(rates.false_rejects[at]),
        f1=float(rates.f1[at]),
        pairs=pairs,
    )
