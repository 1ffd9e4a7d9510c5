"""Items as they are found, and as a network takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from siamese.errors import SiameseError
from siamese.params.similarity import ItemKind
from siamese.similarity.data.names import shortened

Values = NDArray[Any]
"""Of all items, first axis: images ``(n, H, W, bands) uint8``; series ``(n, channels, steps) float32``, NaN after their
end; vectors ``(n, columns) float32``; texts ``(n, bytes) uint8``, 0 after their end."""


@dataclass(frozen=True)
class RawItem:
    """One item before it is decoded.

    Attributes:
        id: Path below the data folder, or the row's number.
        class_name: What it shows; items of one class are the same.
        payload: An image file or its bytes, an array, or a text. Files are read one by one, when they are decoded.
        group: What its class belongs to, e.g. an alphabet.
        branch: 1 for the second encoder of a pseudo-Siamese network, else 0.
        forged: Whether it imitates its class: the same as nothing.
    """

    id: str
    class_name: str
    payload: Path | bytes | Values | str
    group: str = ""
    branch: int = 0
    forged: bool = False


@dataclass(frozen=True)
class RawPair:
    """Two items by id, and whether they are the same."""

    a: str
    b: str
    same: bool


@dataclass
class Found:
    """What lay in a data source.

    Attributes:
        kind: What the items are.
        items: In the order of their ids.
        pairs: None where classes decide what is the same.
        refused: Id and reason of what cannot be used.
    """

    kind: ItemKind
    items: list[RawItem]
    pairs: list[RawPair] | None = None
    refused: list[tuple[str, str]] = field(default_factory=list)

    def check(self, where: str) -> None:
        """Makes sure that there is something.

        Raises:
            SiameseError: There is no item; the first that was refused is named.
        """
        if not self.items:
            raise none_usable(self.refused, len(self.refused), where)


def none_usable(refused: Sequence[tuple[str, str]], count: int, where: str) -> SiameseError:
    """Returns the error for data in which nothing can be used, with the reason of the first refusal."""
    if not refused:
        return SiameseError("holds no item", where=where, fix="give data that hold some")
    name, reason = refused[0]
    what = f"none of {count} items can be used; the first, {shortened(name)}, {reason}"
    return SiameseError(what, where=where, fix="mend the data")


@dataclass(frozen=True)
class ListedPairs:
    """Pairs that a person listed: numbers of items, and whether they are the same."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    same: NDArray[np.bool_]


@dataclass(frozen=True)
class Items:
    """Items as a network takes them.

    Attributes:
        kind: What they are.
        values: See :data:`Values`.
        ids: One an item.
        classes: Name of each item's class.
        groups: Of each item's class.
        branch: 0 or 1 an item.
        forged: Whether it is the same as nothing.
        pairs: Listed pairs, or None where classes decide.
    """

    kind: ItemKind
    values: Values
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    branch: NDArray[np.int64]
    forged: NDArray[np.bool_]
    pairs: ListedPairs | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, sorted."""
        return tuple(sorted(set(self.classes)))

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Number of each item's class in :attr:`names`; a forged item has a number of its own, below 0."""
        number = {name: place for place, name in enumerate(self.names)}
        found = np.array([number[name] for name in self.classes], np.int64)
        found[self.forged] = -1 - np.flatnonzero(self.forged)
        return found

    def take(self, wanted: NDArray[np.int64]) -> Items:
        """Returns some of the items, without listed pairs."""
        return Items(
            self.kind,
            self.values[wanted],
            tuple(self.ids[place] for place in wanted),
            tuple(self.classes[place] for place in wanted),
            tuple(self.groups[place] for place in wanted),
            self.branch[wanted],
            self.forged[wanted],
        )
