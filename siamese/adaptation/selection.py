"""Which buildings a person should label next: pure functions on arrays.

Buildings that the map is unsure about are grouped by likeness and place, each weighing as much as it is unsure, and the
one nearest to the middle of each group is picked (Prabhu et al. 2021, "Active Domain Adaptation via Clustering
Uncertainty-weighted Embeddings"). So the picks are unsure, unlike each other, typical of many rather than odd, and
spread over the area.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
import numpy.typing as npt

from siamese.classes import DAMAGE_CLASSES
from siamese.params import AdaptationParams

Floats = npt.NDArray[np.float64]

_ROUNDS: Final = 12
_POOL: Final = 20_000
"""Of more buildings the most unsure are looked at, beside as many evenly spread ones."""


def entropy(probabilities: npt.NDArray[np.floating]) -> Floats:
    """Returns how unsure each building is, 0 (sure) to 1 (all classes alike)."""
    found = np.clip(np.asarray(probabilities, np.float64), 1e-12, 1)
    found = found / found.sum(axis=1, keepdims=True)
    return np.asarray(-(found * np.log(found)).sum(axis=1) / np.log(len(DAMAGE_CLASSES)))


def select(
    along: Floats,
    probabilities: npt.NDArray[np.floating],
    positions: Floats,
    count: int,
    labelled: Collection[int] = (),
    settings: AdaptationParams | None = None,
) -> npt.NDArray[np.int64]:
    """Picks buildings to label.

    Args:
        along: ``(n, k)`` vectors along their main directions (:func:`siamese.adaptation.model.directions`).
        probabilities: ``(n, 4)`` of each class as the map has them now.
        positions: ``(n, 2)`` places in metres or pixels.
        count: How many to pick; all that are left if there are fewer.
        labelled: Buildings that have a label; they are not picked again, nor are others like them.
        settings: What counts how much.

    Returns:
        Positions of the picked buildings, the most useful first.
    """
    settings = settings or AdaptationParams()
    n = len(along)
    free = np.setdiff1d(np.arange(n), np.asarray(sorted(labelled), np.int64))
    if len(free) <= count:
        return free
    weight = (entropy(probabilities) + 0.02) ** settings.unsure
    features = _features(along, probabilities, positions, settings)
    pool = _pool(free, weight)
    fixed = features[np.asarray(sorted(labelled), np.int64)]
    middles = _spread(features[pool], weight[pool], count, fixed)
    return _nearest(features, weight, pool, _settle(features[pool], weight[pool], middles, fixed), count)


def _features(
    along: Floats, probabilities: npt.NDArray[np.floating], positions: Floats, settings: AdaptationParams
) -> Floats:
    """Returns what buildings are compared by: each group of columns has a mean squared length of its weight."""
    opinion = np.sqrt(np.asarray(probabilities, np.float64))
    groups = ((along, 1.0), (opinion, settings.severity), (positions, settings.place))
    return np.concatenate([_unit(columns) * np.sqrt(share) for columns, share in groups], axis=1)


def _unit(columns: Floats) -> Floats:
    centred = columns - columns.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=1).mean())
    return np.asarray(centred / length if length > 0 else centred)


def _pool(free: npt.NDArray[np.int64], weight: Floats) -> npt.NDArray[np.int64]:
    if len(free) <= _POOL:
        return free
    unsure = free[np.argsort(-weight[free], kind="stable")[: _POOL // 2]]
    return np.union1d(unsure, free[:: -(-len(free) // (_POOL // 2))])


def _spread(features: Floats, weight: Floats, count: int, fixed: Floats) -> Floats:
    """Returns first middles, each the unsure building farthest from those before (k-means++ without chance)."""
    apart = np.full(len(features), np.inf)
    for one in fixed:
        apart = np.minimum(apart, ((features - one) ** 2).sum(axis=1))
    chosen = []
    for _ in range(count):
        score = weight * np.where(np.isinf(apart), 1.0, apart)
        best = int(score.argmax())
        chosen.append(best)
        apart = np.minimum(apart, ((features - features[best]) ** 2).sum(axis=1))
        apart[best] = 0
    return features[chosen].copy()


def _settle(features: Floats, weight: Floats, middles: Floats, fixed: Floats) -> Floats:
    """Moves the middles to the weighted means of their groups (Lloyd); those of labelled buildings stay."""
    held = np.concatenate([middles, fixed])
    for _ in range(_ROUNDS):
        group = _closest(features, held)
        total = np.bincount(group, weight, len(held))
        moved = np.stack([np.bincount(group, weight * column, len(held)) for column in features.T], axis=1)
        some = total[: len(middles)] > 0
        new = held.copy()
        new[: len(middles)][some] = moved[: len(middles)][some] / total[: len(middles)][some, None]
        if np.allclose(new, held):
            break
        held = new
    return held


def _nearest(
    features: Floats, weight: Floats, pool: npt.NDArray[np.int64], held: Floats, count: int
) -> npt.NDArray[np.int64]:
    """Returns for each of the first groups its building nearest to the middle, the heaviest groups first."""
    group = _closest(features[pool], held)
    taken: list[int] = []
    total = np.bincount(group, weight[pool], len(held))[:count]
    free = np.ones(len(pool), bool)
    for number in np.argsort(-total, kind="stable"):
        apart = ((features[pool] - held[number]) ** 2).sum(axis=1)
        mine = free & (group == number)
        where = mine if mine.any() else free
        best = int(np.where(where, apart, np.inf).argmin())
        free[best] = False
        taken.append(best)
    return pool[taken]


def _closest(features: Floats, held: Floats) -> npt.NDArray[np.int64]:
    apart = (held**2).sum(axis=1)[None] - 2 * features @ held.T
    return np.asarray(apart.argmin(axis=1), np.int64)
