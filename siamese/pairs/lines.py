"""Lines of pair sets with the same source and way of splitting; each keeps the splits of its predecessors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from siamese.errors import NotPublishedError
from siamese.manifests import PairSet, SceneCatalog, Split
from siamese.params.pairs import PairsParams
from siamese.store import ObjectStore, S3Uri, move_pointer, read_pointer
from siamese.tables import csv_bytes, read_csv

_ASKED = ("split", "seed", "val_share", "test_share", "neighbour_gap", "unplaced")
"""Changing one of these params requests a new split, which is a line of its own."""
_OF_FOLDS = ("folds", "fold", "test_events")
"""Changing one of these does so too, if it has an effect."""


@dataclass(frozen=True)
class Line:
    """A line of pair sets, as it was when it was read."""

    pointer: S3Uri
    said: dict[str, Any] | None
    about: dict[str, Any]

    @classmethod
    def read(cls, catalog: SceneCatalog, params: PairsParams, store: ObjectStore) -> Self:
        """Reads the line that a pair set of this catalog and these params belongs to."""
        values = params.model_dump(mode="json")
        asked = (*_ASKED, *_OF_FOLDS) if params.split == "fold" else _ASKED
        about = {"source": catalog.source} | {name: values[name] for name in asked}
        name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
        pointer = store.lake / PairSet.kind / "lines" / f"{name}.json"
        said = read_pointer(store, pointer)
        if said is None and PairSet.former:
            # A line continues across upgrades: scenes keep their splits.
            former = read_pointer(store, store.lake / PairSet.former / "lines" / f"{name}.json")
            said = move_pointer(store, pointer, lambda now: former if now is None else None)
        return cls(pointer, said, about)

    def last(self, store: ObjectStore) -> PairSet | None:
        """Returns its last pair set; None if there is none or it no longer exists."""
        try:
            return PairSet.load(store, str(self.said["digest"])) if self.said else None
        except NotPublishedError:
            return None

    def extend(self, pair_set: PairSet, store: ObjectStore) -> bool:
        """Makes a published pair set the last one, unless another has taken that place since the line was read."""
        new = self.about | {"digest": pair_set.digest}
        return move_pointer(store, self.pointer, lambda now: new if now == self.said else None) == new


def read_assignments(store: ObjectStore, pair_set: PairSet | None) -> dict[str, Split]:
    """Reads the split of every scene that ever had one in a pair set's line."""
    if pair_set is None or pair_set.assignments is None:
        return {}
    table = read_csv(pair_set.assignments.read(store))
    return dict(zip(table["scene"], table["split"], strict=True))


def write_assignments(splits: Mapping[str, Split]) -> bytes:
    """Returns CSV for :func:`read_assignments`, one line per scene in order of name."""
    return csv_bytes(("scene", "split"), sorted(splits.items()))
