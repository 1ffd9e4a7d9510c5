"""The scenes of the contest: uploaded and ingested by the project's own verbs, and divided into folds."""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from localstorage import local_storage

from siamese.classes import SUBTYPES, UNCLASSIFIED
from siamese.errors import SiameseError
from siamese.ingest import ingest, upload
from siamese.ingest.catalog import Scene, read_catalog
from siamese.manifests import PairSet, SceneCatalog
from siamese.params import IngestParams, PairsParams
from siamese.settings import Settings, own_storage, read_stack_environment
from siamese.store import ObjectStore, Stage, put_blob

ENOUGH = 5
"""Number of buildings of each class from which an event's official score is meaningful."""
_SPANS = ("offset", "length")


@dataclass(frozen=True)
class Fold:
    """One split into training and test scenes."""

    name: str
    params: PairsParams


@dataclass(frozen=True)
class Collection:
    """Labelled scenes on storage."""

    catalog: SceneCatalog
    scenes: tuple[Scene, ...]

    @property
    def fingerprint(self) -> str:
        """Hash of the images and labels, independent of where they are stored."""
        refs = ((s.scene, s.pre_image, s.post_image, s.pre_label, s.post_label) for s in self.scenes)
        rows = sorted("\t".join([name, *(ref.sha256 if ref else "" for ref in parts)]) for name, *parts in refs)
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


@contextmanager
def storage(work: Path) -> Iterator[ObjectStore]:
    """Uses the configured storage (AWS settings, ``siamese up``), otherwise a server with its data in ``work``."""
    home = Settings().home
    if own_storage(home, os.environ) or read_stack_environment(home):
        yield ObjectStore()
        return
    with local_storage(work / "storage") as store:
        yield store


def collect(folder: Path, params: IngestParams, store: ObjectStore) -> Collection:
    """Uploads and ingests a folder of scenes in xBD's layout; what is already there is not sent again.

    Raises:
        SiameseError: There is no such folder, or it holds no accepted scene.
    """
    if not folder.is_dir():
        raise SiameseError("not a folder", where=str(folder), fix="pass --data, or set SIAMESE_DATA")
    files = sorted((path.relative_to(folder).as_posix(), path.stat().st_size) for path in folder.rglob("*.*"))
    name = hashlib.sha256(repr(files).encode()).hexdigest()[:12]
    source = store.raw / "benchmark-quality" / name
    upload(folder, source, store)
    catalog = ingest(source, params, store)
    scenes = tuple(scene for scene in read_catalog(store, catalog) if scene.verdict == "accepted")
    if not scenes:
        raise SiameseError("holds no accepted scene", where=str(folder), fix="`siamese ingest` tells why")
    return Collection(catalog, scenes)


def folds(params: PairsParams) -> tuple[Fold, ...]:
    """Makes folds for cross-validation: neighbours stay together, and every scene is tested once.

    Scenes without a known location are tested too, because false alarms on empty ground are part of the score.
    """
    base = {"split": "fold", "unplaced": "spread", "test_events": ()}
    return tuple(
        Fold(f"fold-{number}", params.model_copy(update=base | {"fold": number})) for number in range(params.folds)
    )


def event_folds(scenes: Iterable[Scene], params: PairsParams) -> tuple[tuple[Fold, ...], dict[str, str]]:
    """Makes one fold per event that has enough of every class; also returns what the other events lack."""
    held: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for scene in scenes:
        held[scene.disaster].update(scene.buildings)
    lacking = {event: _lacking(buildings) for event, buildings in sorted(held.items())}
    base = {"split": "fold", "unplaced": "spread"}
    chosen = tuple(
        Fold(f"event-{event}", params.model_copy(update=base | {"test_events": (event,)}))
        for event, lack in lacking.items()
        if not lack
    )
    return chosen, {event: lack for event, lack in lacking.items() if lack}


def _lacking(buildings: Counter[str]) -> str:
    classes = [subtype for subtype, value in SUBTYPES.items() if value != UNCLASSIFIED]
    few: Sequence[str] = [f"{buildings[name]} {name}" for name in classes if buildings[name] < ENOUGH]
    return f"fewer than {ENOUGH} buildings of a class: {', '.join(few)}" if few else ""


def post_only(pairs: PairSet, store: ObjectStore) -> PairSet:
    """Returns the pair set with the post image in place of the pre image: same scenes, splits, masks and targets."""
    origin = Stage(PairSet, version=1, package="contest.scenes", sections={}, name="post-only").plan(
        inputs={"pairs": pairs, "dates": "post, post"}, params={}
    )
    found = PairSet.find(store, origin.digest)
    if found is not None:
        return found
    index = pq.read_table(pa.BufferReader(pairs.index.read(store)))
    for name in (*_SPANS, "bands"):
        index = index.set_column(index.column_names.index(f"pre_{name}"), f"pre_{name}", index[f"post_{name}"])
    table = io.BytesIO()
    pq.write_table(index, table)
    folder = PairSet.folder(store, origin.digest)
    changed = {"origin": origin, "index": put_blob(store, folder, "index.parquet", table.getvalue())}
    return pairs.model_copy(update=changed).publish(store)
