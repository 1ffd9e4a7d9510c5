"""Recall among neighbours, and n-way episodes of one or a few examples a class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from siamese.similarity.data.items import Items


def recall_at(between: NDArray[np.float32], labels: NDArray[np.int64], counts: Sequence[int]) -> dict[int, float]:
    """Returns the share of items that have one of their own class among their k nearest others.

    Args:
        between: ``(n, n)`` distances of all items to each other.
        labels: Class of each; an item whose class has no other is left out.
        counts: Values of k.
    """
    apart = between.copy()
    np.fill_diagonal(apart, np.inf)
    usable = np.array([(labels == label).sum() > 1 for label in labels])
    if not usable.any():
        return dict.fromkeys(counts, 0.0)
    order = np.argsort(apart[usable], axis=1)[:, : max(counts)]
    hit = labels[order] == labels[usable][:, None]
    return {count: float(hit[:, :count].any(1).mean()) for count in counts}


def episodes_accuracy(
    between: NDArray[np.float32], items: Items, *, ways: int, shots: int, episodes: int, seed: int
) -> float | None:
    """Returns the share of episodes in which an item is assigned to its own class among ``ways``.

    An item gets the class whose examples are nearest on average. Where classes are grouped, those of an episode are of
    one group, which is harder.

    Args:
        between: ``(n, n)`` distances of all items to each other.
        items: The items.
        ways: Classes in an episode; fewer where there are fewer.
        shots: Examples of each.
        episodes: Number of episodes.
        seed: Of the draw.

    Returns:
        The accuracy, or None where no two classes have an item more than examples are asked for.
    """
    rng = np.random.default_rng((seed, shots))
    members = {number: np.flatnonzero((items.labels == number) & ~items.forged) for number in range(len(items.names))}
    usable = [number for number, own in members.items() if len(own) > shots]
    group = {number: items.groups[members[number][0]] for number in usable}
    pools = [[number for number in usable if group[number] == name] for name in sorted(set(group.values()))]
    pools = [pool for pool in pools if len(pool) > 1]
    if not pools:
        pools = [usable] if len(usable) > 1 else []
    if not pools:
        return None
    right = 0.0
    for _ in range(episodes):
        pool = pools[int(rng.integers(len(pools)))]
        classes = rng.choice(pool, min(ways, len(pool)), replace=False)
        drawn = [rng.permutation(members[number])[: shots + 1] for number in classes]
        examples, queries = np.stack([own[:shots] for own in drawn]), np.array([own[shots] for own in drawn])
        told = between[queries[:, None, None], examples[None]].mean(2).argmin(1)
        right += float((told == np.arange(len(classes))).mean())
    return right / episodes
