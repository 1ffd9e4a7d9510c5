"""Distributes groups of scenes so that every split gets its share of scenes and of every kind of building."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SPLIT_ABSENT = (16.0, 4.0, 8.0)
"""Cost of a split (train, val, test) that lacks a kind. Scarce kinds go to train first, since a network cannot predict
what it never saw; then to test, then to val."""
_SCENE_ABSENT = 1e6
"""Cost of a split without any scene."""
_ROUNDS = 500


def share_out(
    features: Floats,
    shares: Sequence[float],
    seed: int,
    given: Floats | None = None,
    absent: Sequence[float] = SPLIT_ABSENT,
) -> NDArray[np.int64]:
    """Assigns each group to a place: to train, val or test, or to one of any number of folds.

    A greedy pass assigns groups with the rarest kind first, large before small, ties in seeded order, each to the
    place that minimises the deviation from the shares (after Sechidis et al., "On the Stratification of Multi-Label
    Data", 2011). Single moves and swaps are then applied until none improves the result.

    Args:
        features: (groups, kinds) for each group the number of scenes, then the amount of each kind to balance.
        shares: Share of each place; they sum to 1. A place with share 0 gets nothing.
        seed: The same seed gives the same result; other seeds give other splits of similar balance.
        given: (places, kinds) that the places already hold and keep; by default nothing.
        absent: Cost of each place that lacks a kind; by default those of train, val and test.

    Returns:
        (groups,) number of the place of each group. With fewer groups than wanted places, some places stay empty.
    """
    given = np.zeros((len(shares), features.shape[1])) if given is None else given
    whole = features.sum(axis=0) + given.sum(axis=0)
    amounts, given = features / np.maximum(whole, 1), given / np.maximum(whole, 1)
    held_by = (features > 0).sum(axis=0)
    places = _Places(amounts, given, np.array(shares), whole > 0, np.array(absent))
    totals = given.copy()
    assigned = np.full(len(features), -1)
    for group in _order(features, held_by, seed):
        costs = [places.cost(_moved(totals, amounts[group], split)) for split in range(len(shares))]
        best = int(np.argmin(costs))
        totals[best] += amounts[group]
        assigned[group] = best
    return _improve(assigned, places)


class _Places:
    """The places and the cost of a distribution of groups over them."""

    def __init__(self, amounts: Floats, given: Floats, shares: Floats, held: NDArray[np.bool_], absent: Floats) -> None:
        self.amounts, self.given, self.open = amounts, given, shares > 0
        self._shares = np.where(self.open, shares, 1.0)[:, None]
        costs = np.repeat(absent[:, None], amounts.shape[1], axis=1)
        costs[:, 0] = _SCENE_ABSENT
        self._absent = np.where(held, costs, 0.0)

    def cost(self, totals: Floats) -> Floats:
        """Returns the cost of (..., places, kinds) totals; infinite if an unwanted place holds anything."""
        deviation = ((totals - self._shares) / self._shares) ** 2
        # A present class costs less the nearer it is to its share; absence adds a fixed cost, a step and not a slope.
        each = deviation + self._absent * (totals < 1e-12)
        each = np.where(self.open[:, None], each, np.where(totals > 1e-12, np.inf, 0.0))
        total: Floats = each.sum(axis=(-2, -1))
        return total


def _order(features: Floats, held_by: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    tie = np.random.default_rng(seed).permutation(len(features))
    classes = np.argsort(np.where(held_by > 0, held_by, np.iinfo(np.int64).max), kind="stable")
    rank = np.full(len(features), len(classes))
    for position, column in reversed(list(enumerate(classes))):
        rank[features[:, column] > 0] = position
    # Sizes are compared by powers of two, so that groups of similar size are taken in seeded order.
    size = np.floor(np.log2(np.maximum(features.sum(axis=1), 1)))
    return np.lexsort((tie, -size, rank))


def _moved(totals: Floats, amount: Floats, target: int) -> Floats:
    after = totals.copy()
    after[target] += amount
    return after


def _improve(assigned: NDArray[np.int64], places: _Places) -> NDArray[np.int64]:
    amounts = places.amounts
    for _ in range(_ROUNDS):
        totals = places.given + np.stack([amounts[assigned == split].sum(axis=0) for split in range(len(places.open))])
        now = float(places.cost(totals))
        move = _best_move(assigned, totals, places)
        swap = _best_swap(assigned, totals, places) if move[0] >= now - 1e-9 else None
        cost, changes = swap if swap is not None else move
        if cost >= now - 1e-9:
            break
        for group, split in changes:
            assigned[group] = split
    return assigned


Change = tuple[float, list[tuple[int, int]]]


def _best_move(assigned: NDArray[np.int64], totals: Floats, places: _Places) -> Change:
    best: Change = (np.inf, [])
    for split in range(len(places.open)):
        groups = np.flatnonzero(assigned != split)
        if not places.open[split] or not len(groups):
            continue
        after = np.repeat(totals[None], len(groups), axis=0)
        after[np.arange(len(groups)), assigned[groups]] -= places.amounts[groups]
        after[:, split] += places.amounts[groups]
        costs = places.cost(after)
        if costs.min() < best[0]:
            best = (float(costs.min()), [(int(groups[costs.argmin()]), split)])
    return best


def _best_swap(assigned: NDArray[np.int64], totals: Floats, places: _Places, most: int = 256) -> Change:
    """Returns the best swap between two splits, searching the ``most`` largest groups of each."""
    best: Change = (np.inf, [])
    size = places.amounts.sum(axis=1)
    for one, other in combinations(range(len(places.open)), 2):
        left, right = (
            np.array(sorted(np.flatnonzero(assigned == split), key=lambda g: (-size[g], g))[:most], int)
            for split in (one, other)
        )
        if not len(left) or not len(right):
            continue
        for group in left:
            flow = places.amounts[right] - places.amounts[group]
            after = np.repeat(totals[None], len(right), axis=0)
            after[:, one] += flow
            after[:, other] -= flow
            costs = places.cost(after)
            if costs.min() < best[0]:
                best = (float(costs.min()), [(int(group), other), (int(right[costs.argmin()]), one)])
    return best
