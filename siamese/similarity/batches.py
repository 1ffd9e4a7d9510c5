"""Draws balanced batches: several classes, several items of each; a pure function of seed and step.

Pairs and triplets are formed within a batch, so the quadratically many of a data set are never listed. The library's
own sampler draws from a global generator; a resumed run needs one that depends on the step alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siamese.errors import SiameseError
from siamese.params import SimilarityParams
from siamese.similarity.augment import augmented, composed, turned_image
from siamese.similarity.data.items import Items, ListedPairs

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Items, number of their class, whether listed pairs are the same (else -1), and which encoder takes them."""
TURNS = {"none": 1, "turns": 4, "turns_and_mirrors": 8}


class BatchSource:
    """Draws batches from the training items.

    Attributes:
        steps_an_epoch: Steps that show as many items as there are.
        classes: Number of classes, turned ones included.
    """

    def __init__(self, items: Items, params: SimilarityParams) -> None:
        """Prepares to draw.

        Raises:
            SiameseError: There is one class, or the params ask for what such items do not have.
        """
        self._items, self._params = items, params
        self._turns = TURNS[params.turned_classes] if items.kind == "image" else 1
        own = [np.flatnonzero((items.labels == number) & ~items.forged) for number in range(len(items.names))]
        self._members = [members for members in own if len(members)]
        names = [items.classes[members[0]] for members in self._members]
        groups = [items.groups[members[0]] for members in self._members]
        self._forged = [
            np.flatnonzero(items.forged & (np.array(items.classes) == name)) if items.forged.any() else np.empty(0, int)
            for name in names
        ]
        self._by_group = [np.flatnonzero(np.array(groups) == name) for name in sorted(set(groups))]
        self.classes = len(self._members) * self._turns
        if items.pairs is None and len(self._members) < 2:
            raise SiameseError("holds one class", where="training items", fix="give two classes at least")
        self._classes_a_batch = params.batch // params.per_class
        self.steps_an_epoch = max(1, round(len(items) * self._turns / params.batch))

    def batch(self, step: int) -> Batch:
        """Returns the batch of a step."""
        rng = np.random.default_rng((self._params.seed, step))
        listed = self._items.pairs
        return self._from_pairs(listed, rng) if listed is not None else self._from_classes(rng)

    def _from_pairs(self, listed: ListedPairs, rng: np.random.Generator) -> Batch:
        """Draws listed pairs, as many of the same as of others."""
        count = self._params.batch // 2
        alike, other = np.flatnonzero(listed.same), np.flatnonzero(~listed.same)
        drawn = np.concatenate([rng.choice(alike, (count + 1) // 2), rng.choice(other, count // 2)])
        places = np.stack([listed.first[drawn], listed.second[drawn]], 1).ravel()
        same = np.repeat(listed.same[drawn], 2).astype(np.int64)
        values = [self._shown(place, 0, rng) for place in places]
        return self._made(values, self._items.labels[places], same, self._items.branch[places])

    def _from_classes(self, rng: np.random.Generator) -> Batch:
        params, items = self._params, self._items
        drawn = self._draw_classes(rng)
        composed_count = round(params.composed_share * len(drawn)) if items.kind == "image" else 0
        values: list[NDArray[Any]] = []
        labels: list[int] = []
        branch: list[int] = []
        for order, (number, turn) in enumerate(drawn):
            if order < composed_count:
                values += self._compose(number, turn, rng)
                labels += [self.classes + order] * params.per_class
                branch += [0] * params.per_class
                continue
            for place in self._draw_members(number, rng):
                values.append(self._shown(place, turn, rng))
                forged = bool(items.forged[place])
                labels.append(-1 - len(labels) if forged else number * self._turns + turn)
                branch.append(int(items.branch[place]))
        same = np.full(len(values), -1, np.int64)
        return self._made(values, np.array(labels, np.int64), same, np.array(branch, np.int64))

    def _draw_classes(self, rng: np.random.Generator) -> list[tuple[int, int]]:
        """Draws classes without repeating one, each with a turn; of one group if asked to."""
        pool = np.arange(len(self._members))
        if self._params.one_group:
            usable = [group for group in self._by_group if len(group) > 1] or [pool]
            pool = usable[int(rng.integers(len(usable)))]
        turns = self._turns
        choices = len(pool) * turns
        drawn = rng.choice(choices, self._classes_a_batch, replace=choices < self._classes_a_batch)
        return [(int(pool[one // turns]), int(one % turns)) for one in drawn]

    def _draw_members(self, number: int, rng: np.random.Generator) -> list[int]:
        members, forged, count = self._members[number], self._forged[number], self._params.per_class
        imitated = min(count // 2, len(forged)) if count > 2 else 0
        if len(self._items.branch) and self._params.relation == "pseudo":
            return _from_both_branches(members, self._items.branch, count, rng)
        wanted = count - imitated
        genuine = rng.choice(members, wanted, replace=len(members) < wanted)
        return [*map(int, genuine), *map(int, rng.choice(forged, imitated, replace=False))] if imitated else [
            *map(int, genuine)
        ]  # fmt: skip

    def _compose(self, number: int, turn: int, rng: np.random.Generator) -> list[NDArray[Any]]:
        """Makes the items of a new class from two old ones, whose items are drawn independently."""
        other = int(rng.integers(len(self._members)))
        other_turn, way = int(rng.integers(self._turns)), int(rng.integers(3))
        count = self._params.per_class
        ones, others = self._draw_members(number, rng), self._draw_members(other, rng)
        strength = self._params.augment
        found = []
        for one, two in zip(ones[:count], others[:count], strict=True):
            first = turned_image(self._items.values[one], turn)
            second = turned_image(self._items.values[two], other_turn)
            found.append(augmented(composed(first, second, way), "image", strength, rng))
        return found

    def _shown(self, place: int, turn: int, rng: np.random.Generator) -> NDArray[Any]:
        value = self._items.values[place]
        if turn:
            value = turned_image(value, turn)
        return augmented(value, self._items.kind, self._params.augment, rng)

    def _made(
        self, values: Sequence[NDArray[Any]], labels: NDArray[np.int64], same: NDArray[np.int64],
        branch: NDArray[np.int64],
    ) -> Batch:  # fmt: skip
        return tuple(torch.from_numpy(part) for part in (np.stack(values), labels, same, branch))  # type: ignore[return-value]


def _from_both_branches(
    members: NDArray[np.int64], branch: NDArray[np.int64], count: int, rng: np.random.Generator
) -> list[int]:
    """Draws items of a class from both kinds of input in turn."""
    sides = [members[branch[members] == side] for side in (0, 1)]
    sides = [side for side in sides if len(side)]
    return [int(rng.choice(sides[number % len(sides)])) for number in range(count)]
