"""Scenes of one split of a pair set, to be evaluated."""

from __future__ import annotations

from functools import partial

from siamese.errors import SiameseError
from siamese.evaluation.truth import SceneTask, SceneTruth, label_buildings
from siamese.manifests import PairSet, Split
from siamese.pairs.index import SceneEntry
from siamese.pairs.reader import PairReader
from siamese.store import ObjectStore


def split_tasks(pairs: PairSet, split: Split, store: ObjectStore) -> tuple[SceneTask, ...]:
    """Returns the scenes of a split, in order of name.

    Raises:
        SiameseError: The split is empty.
    """
    reader = PairReader(store, pairs, cache=store.settings.cache)
    tasks = tuple(
        SceneTask(entry.scene, entry.disaster, partial(_load, reader, entry)) for entry in reader.scenes(split)
    )
    if not tasks:
        fix = "set evaluation.split to one that does, or split the pairs anew"
        raise SiameseError(f"split {split} holds no scenes", where=str(pairs.uri(store)), fix=fix)
    return tasks


def _load(reader: PairReader, entry: SceneEntry) -> SceneTruth:
    pre, post, mask = reader.whole(entry.scene)
    buildings = reader.buildings(entry.scene)
    damaged = [(building.post, building.subtype) for building in buildings]
    localization, damage = reader.targets(entry.scene)
    unseen = reader.unseen(entry.scene)
    numbered = label_buildings(damaged, mask.shape[0], mask.shape[1], unseen)
    return SceneTruth(pre, post, mask, localization, damage, numbered, entry.disaster_type, unseen)
