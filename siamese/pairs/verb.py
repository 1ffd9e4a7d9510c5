"""The verb ``pairs``: turns a catalog of scenes into shards, an index and splits."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from siamese.classes import SUBTYPES, UNCLASSIFIED
from siamese.duplicates import duplicates_of_catalog, known_twins
from siamese.errors import TransientError
from siamese.ingest.catalog import Scene, Verdict, read_catalog
from siamese.manifests import PairSet, SceneCatalog, Split
from siamese.pairs.groups import Candidate
from siamese.pairs.lines import Line, read_assignments, write_assignments
from siamese.pairs.people import PartialLabels, labels_of_people
from siamese.pairs.prepare import PreparedScene, prepare_scene
from siamese.pairs.shards import Placed, ShardWriter
from siamese.pairs.splits import SPLITS, UNLABELLED, assign_splits, learnable_unlabelled
from siamese.pairs.stage import PAIR_SET
from siamese.pairs.statistics import Tally, write_csv
from siamese.pairs.tables import BUILDINGS_SCHEMA, INDEX_SCHEMA
from siamese.parallel import ordered_map
from siamese.params.pairs import PairsParams
from siamese.parquet import TableWriter
from siamese.progress import progress
from siamese.store import Blob, ObjectStore, Origin, S3Uri, put_blob, put_file
from siamese.store.stage import Input

_BUDGET_PX = 32 * 2**20
"""Pixels of scenes processed at once; each takes about 8 bytes of memory."""
_INDEX_GROUP, _BUILDINGS_GROUP = 32_768, 4_096
_TRIES = 5


def build_pairs(
    catalog: SceneCatalog, params: PairsParams, store: ObjectStore, *, reuse_older: bool = False
) -> PairSet:
    """Makes training pairs of every accepted scene, or returns the pair set at once if it exists already.

    With ``pairs.unlabelled``, scenes without labels are included in a separate split that only ``pretrain`` uses.
    Later pair sets treat such a scene as one of train, so that it is never tested on.

    A scene that has a split keeps it: the pair set follows the last one of the same source and the same way to split
    (``pairs.split``, seed, shares, ``neighbour_gap``, ``unplaced``), so that a model trained on that one can be
    scored on this one's test split (``official`` follows folders; folds are assigned anew, so that each scene is
    tested once). ``keep_splits: false`` assigns all scenes anew, and later pair sets follow that.

    Scenes that are changed copies of each other never straddle splits (:mod:`siamese.duplicates`); their images are
    compared when a new pair set is made, once for each image.

    A scene without labels of which people labelled some mapped buildings (:mod:`siamese.pairs.people`) is trained on
    with those, unless it shows held-out ground; it is never scored, as most of its truth is unknown.

    Args:
        catalog: The catalog that ``ingest`` published.
        params: How to split, and the sizes of blocks and shards.
        store: Object storage to publish to.
        reuse_older: Return the result of an earlier version of this stage, if there is one, instead of a new one.

    Returns:
        The published pair set. The same catalog, params and kept splits give the same bytes, whatever the number of
        workers.

    Raises:
        SiameseError: The split cannot be made, or a scene has changed since it was ingested.
        TransientError: Other processes keep publishing pair sets of this source at the same time.
    """
    for _ in range(_TRIES):
        line = Line.read(catalog, params, store)
        keeps = params.keep_splits and params.split in ("event", "scene")
        pair_set = _follow(line.last(store) if keeps else None, catalog, params, store, reuse_older)
        if line.extend(pair_set, store):
            return pair_set
    raise TransientError(f"others made pair sets of it {_TRIES} times in a row", where=catalog.source, fix="try again")


def _follow(
    previous: PairSet | None, catalog: SceneCatalog, params: PairsParams, store: ObjectStore, reuse_older: bool
) -> PairSet:
    """Returns the pair set of a catalog that keeps the splits of the previous pair set."""
    frozen = previous.assignments.sha256[:16] if previous and previous.assignments else None
    inputs: dict[str, Input] = {"catalog": catalog}
    if frozen:
        inputs["frozen"] = frozen

    def done(inputs: Mapping[str, Input]) -> tuple[Origin, PairSet | None]:
        origin = PAIR_SET.plan(inputs=inputs, params={"pairs": params})
        if previous and _same_work(previous, origin) and (reuse_older or previous.origin.version == origin.version):
            return origin, previous
        return origin, PAIR_SET.find(store, origin, older=reuse_older)

    people = labels_of_people(params.label_sets, read_catalog(store, catalog), store)
    if people.identity:
        inputs["labels"] = people.identity
    twins: dict[str, str] = {}
    if params.twins == "together":
        known = known_twins(catalog, store)
        if known is None:
            # A pair set of before twins were looked for stays; looking at every image is part of making a new one.
            _, found = done(inputs)
            if found:
                return found
            duplicates_of_catalog(catalog, store)
            known = known_twins(catalog, store)
        twins = known or {}
    if twins:
        inputs["twins"] = hashlib.sha256(repr(sorted(twins.items())).encode()).hexdigest()[:16]
    origin, found = done(inputs)
    return found or _make(origin, read_assignments(store, previous), catalog, twins, people.scenes, params, store)


def _same_work(previous: PairSet, asked: Origin) -> bool:
    """Returns whether a pair set has the same catalog and params, whichever splits it followed."""
    done, without = previous.origin, {"frozen"}
    alike = previous.model_copy(update={"origin": done.model_copy(update={"inputs": _less(done.inputs, without)})})
    return PAIR_SET.same_work(alike, asked.model_copy(update={"inputs": _less(asked.inputs, without)}))


def _less(inputs: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    return {name: value for name, value in inputs.items() if name not in names}


def _make(
    origin: Origin,
    known: dict[str, Split],
    catalog: SceneCatalog,
    twins: Mapping[str, str],
    people: Mapping[str, PartialLabels],
    params: PairsParams,
    store: ObjectStore,
) -> PairSet:
    candidates = [_candidate(scene, twins) for scene in _scenes(store, catalog, "accepted")]
    splits = assign_splits(candidates, params, known)
    unlabelled: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()
    if params.unlabelled or people:
        others = [_candidate(scene, twins) for scene in _scenes(store, catalog, "unlabelled")]
        learnable = learnable_unlabelled(others, candidates, params, known | splits)
        partly = tuple(scene for scene in learnable if scene in people)
        unlabelled = tuple(scene for scene in learnable if scene not in people) if params.unlabelled else ()
    assigned = splits | dict.fromkeys(partly, "train") | dict.fromkeys(unlabelled, UNLABELLED)
    folder = PairSet.folder(store, origin.digest)
    with tempfile.TemporaryDirectory(prefix="siamese-pairs-") as scratch, progress("pairs", len(assigned)) as advance:
        output = _Output(store, folder, Path(scratch), params)
        threads = ThreadPoolExecutor(params.workers, thread_name_prefix="scene")
        with output.index, output.buildings, threads as pool:
            for split in (*SPLITS, UNLABELLED):
                verdicts: tuple[Verdict, ...] = ("accepted", "unlabelled") if people else ("accepted",)
                verdicts = ("unlabelled",) if split == UNLABELLED else verdicts
                scenes = (
                    one
                    for verdict in verdicts
                    for one in _scenes(store, catalog, verdict)
                    if assigned.get(one.scene) == split
                )
                for prepared in ordered_map(
                    pool,
                    partial(
                        prepare_scene,
                        store=store,
                        block_px=params.block_px,
                        value_range=params.value_range,
                        people=people,
                    ),
                    scenes,
                    ahead=2 * params.workers,
                    weight=lambda scene: (scene.width or 0) * (scene.height or 0),
                    budget=_BUDGET_PX,
                ):
                    output.add(prepared, split)
                    advance(note=prepared.scene.scene)
                output.shards.close()
        pair_set = PairSet(
            origin=origin,
            index=put_file(store, folder, "index.parquet", output.index_file),
            buildings=put_file(store, folder, "buildings.parquet", output.buildings_file),
            statistics=put_blob(store, folder, "statistics.csv", write_csv(output.tally.events()), "text/csv"),
            assignments=put_blob(
                store,
                folder,
                "assignments.csv",
                write_assignments(known | splits | dict.fromkeys((*partly, *unlabelled), "train")),
                "text/csv",
            ),
            left_out=tuple(sorted(one.scene for one in candidates if one.scene not in splits)),
            shards=tuple(output.blobs),
            block_px=params.block_px,
            splits=output.tally.by_split(),
        )
    return pair_set.publish(store)


class _Output:
    """The output being written: the open shard, two tables, and the sums."""

    def __init__(self, store: ObjectStore, folder: S3Uri, scratch: Path, params: PairsParams) -> None:
        self._store, self._folder = store, folder
        self.index_file, self.buildings_file = scratch / "index.parquet", scratch / "buildings.parquet"
        self.index = TableWriter(self.index_file, INDEX_SCHEMA, _INDEX_GROUP)
        self.buildings = TableWriter(self.buildings_file, BUILDINGS_SCHEMA, _BUILDINGS_GROUP)
        self.shards = ShardWriter(params.shard_mib * 2**20, self._put)
        self.tally = Tally()
        self.blobs: list[Blob] = []

    def add(self, prepared: PreparedScene, split: Split) -> None:
        scene = prepared.scene
        self.index.add(_index_rows(prepared, split, [self.shards.add(block.sample) for block in prepared.blocks]))
        self.buildings.add(_building_rows(prepared))
        subtypes = (building.subtype for building in prepared.buildings)
        pixels = (block.pixels for block in prepared.blocks)
        self.tally.add(split, scene.disaster, scene.disaster_type or "", subtypes, pixels)

    def _put(self, number: int, data: bytes) -> None:
        self.blobs.append(put_blob(self._store, self._folder, f"shard-{number:05d}.tar", data, "application/x-tar"))


def _scenes(store: ObjectStore, catalog: SceneCatalog, verdict: Verdict) -> Iterator[Scene]:
    return (scene for scene in read_catalog(store, catalog) if scene.verdict == verdict)


def _candidate(scene: Scene, twins: Mapping[str, str]) -> Candidate:
    classes = [subtype for subtype, value in SUBTYPES.items() if value != UNCLASSIFIED]
    return Candidate(
        scene=scene.scene,
        disaster=scene.disaster,
        official=scene.official_split,
        bounds=scene.bounds,
        images=tuple(ref.sha256 for ref in (scene.pre_image, scene.post_image) if ref is not None),
        buildings=tuple(scene.buildings.get(subtype, 0) for subtype in classes),
        twins=twins.get(scene.scene),
    )


def _index_rows(prepared: PreparedScene, split: Split, places: list[Placed]) -> Iterator[tuple[Any, ...]]:
    scene = prepared.scene
    head = (scene.scene, scene.disaster, scene.disaster_type or "", split, scene.width, scene.height)
    for block, place in zip(prepared.blocks, places, strict=True):
        members = (number for span in block.sample.members for number in (span.offset, span.length))
        where = (block.row, block.col, block.width, block.height, *prepared.bands, place.shard, place.offset)
        yield (*head, *where, len(block.sample.data), *members, block.sample.sha256, *block.pixels)


def _building_rows(prepared: PreparedScene) -> Iterator[tuple[Any, ...]]:
    buildings = prepared.buildings
    pre, post = (
        shapely.to_wkb(np.array([getattr(building, date) for building in buildings], dtype=object))
        for date in ("pre", "post")
    )
    for building, before, after in zip(buildings, pre, post, strict=True):
        yield prepared.scene.scene, building.uid, building.subtype, before, after
