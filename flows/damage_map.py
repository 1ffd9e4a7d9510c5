"""Batch production of damage maps for every scene under a prefix that this model has not mapped yet."""

from __future__ import annotations

from functools import partial
from typing import TypedDict

from prefect import State, flow
from prefect.states import Completed

from flows.report import publish_maps
from flows.retrain import ingest_scenes
from flows.steps import Overrides, begin_run, join_run, step
from siamese.errors import SiameseError, TransientError
from siamese.ingest.catalog import read_catalog
from siamese.manifests import Checkpoint, DamageMap, SceneCatalog
from siamese.mapping import map_scene
from siamese.mapping.queue import in_order_of_need
from siamese.model import DeferredPredictor
from siamese.progress import LOGGER, progress
from siamese.registry import model_name, resolve_model
from siamese.store import ObjectStore, S3Uri

BATCH = 32
CHAMPION = "models:/siamese-damage@champion"


class ResolvedModel(TypedDict):
    """The model used throughout a run, even if its alias moves in the meantime."""

    name: str
    """For people: name and version."""
    checkpoints: list[str]
    """Digests; their probabilities are averaged."""


class ChosenScenes(TypedDict):
    """Scenes to map, and scenes that cannot be mapped."""

    scenes: list[str]
    """Names, the most needed first."""
    quarantined: dict[str, str]
    """Why a scene under the source was refused at ingest, by scene."""
    failures: dict[str, str]
    """Why a scene that was asked for cannot be mapped, by scene."""


class MappedBatch(TypedDict):
    """The maps of a batch of scenes."""

    maps: list[str]
    """Digests."""
    failures: dict[str, str]
    """Why there is no map, by scene."""


@step
def settle_models(models: list[str]) -> ResolvedModel:
    """Resolves the models' names to their current checkpoints and checks the weights."""
    store = ObjectStore()
    checkpoints = [resolve_model(model, store) for model in models]
    name = " + ".join(model_name(model, one, store) for model, one in zip(models, checkpoints, strict=True))
    return {"name": name, "checkpoints": [one.digest for one in checkpoints]}


@step
def choose_scenes(catalog: str, asked: list[str] | None) -> ChosenScenes:
    """Picks the scenes to map: the requested ones, or all with both images; new disasters before the archive."""
    store = ObjectStore()
    found = SceneCatalog.load(store, catalog)
    rows = [row for row in read_catalog(store, found) if asked is None or row.scene in asked]
    quarantined = {row.scene: "; ".join(row.reasons) for row in rows if row.verdict == "quarantined"}
    written = {str(info.uri): info.modified for info in store.list(S3Uri.parse(found.source)) if info.modified}
    usable = [row for row in rows if row.verdict != "quarantined"]
    ordered = in_order_of_need(usable, DamageMap.mapped_events(store), written)
    failures = {}
    if asked is not None:
        absent = set(asked) - {row.scene for row in rows}
        failures = dict.fromkeys(sorted(absent), f"there is no such scene under {found.source}")
        failures |= {scene: f"quarantined: {reasons}" for scene, reasons in quarantined.items()}
    return {"scenes": [row.scene for row in ordered], "quarantined": quarantined, "failures": failures}


@step
def map_batch(run: str, catalog: str, scenes: list[str], model: ResolvedModel) -> MappedBatch:
    """Maps a batch of scenes, loading the networks at most once; a scene that fails does not hold up the others."""
    store, params = join_run(run)
    found = {row.scene: row for row in read_catalog(store, SceneCatalog.load(store, catalog)) if row.scene in scenes}
    first, *further = checkpoints = [Checkpoint.load(store, digest) for digest in model["checkpoints"]]
    predictor = DeferredPredictor(store, *checkpoints, expected_pairs=len(scenes), flips=params.mapping.flips)
    by_model = partial(
        map_scene,
        further=further,
        model=model["name"],
        predictor=predictor,
        reuse_older=not params.runs.redo_older,
    )
    maps, failures = [], {}
    with progress("map scenes", len(scenes)) as advance:
        for scene in scenes:
            try:
                made = by_model(found[scene], first, params.mapping, store)
                made.mark_current(store)
                maps.append(made.digest)
            except TransientError:
                raise
            except SiameseError as error:
                failures[scene] = str(error)
                LOGGER.error(f"{scene} has no map: {error}")
            advance(note=scene)
    return {"maps": maps, "failures": failures}


@flow(name="damage_map", persist_result=True, result_serializer="json")
def damage_map(
    source: str | None = None,
    scenes: list[str] | None = None,
    model: str = CHAMPION,
    further: list[str] | None = None,
    overrides: Overrides | None = None,
    run: str | None = None,
) -> State[dict[str, object]]:
    """Publishes a damage map of each scene under a prefix; maps that this model has already made are reused.

    Args:
        source: Prefix of the scenes, ``s3://…``; by default ``ingest.source`` of the published params.
        scenes: Only these, by name (``disaster_number``); by default all that are not quarantined.
        model: MLflow model URI, or the digest of a checkpoint. It is resolved once, when the run begins.
        further: Additional models, whose probabilities are averaged with those of ``model``.
        overrides: Changes to the published params for this run.
        run: Digest of a RunSpecification to use instead of source and overrides.

    Returns:
        The final state, whose message counts maps and quarantined scenes; its result names them all.

    Raises:
        SiameseError: Some scenes could not be mapped; all others were.
    """
    run = begin_run(overrides, source, run)
    settled = settle_models([model, *(further or ())])
    catalog = ingest_scenes(run)
    chosen = choose_scenes(catalog, scenes)
    names, quarantined, failures = chosen["scenes"], chosen["quarantined"], dict(chosen["failures"])
    maps: list[str] = []
    for start in range(0, len(names), BATCH):
        done = map_batch(run, catalog, names[start : start + BATCH], settled)
        maps += done["maps"]
        failures |= done["failures"]
    publish_maps(maps, failures, quarantined)
    summary = f"{len(maps)} maps by {settled['name']}; {len(quarantined)} scenes quarantined"
    if failures:
        scene, reason = next(iter(failures.items()))
        what = f"{len(failures)} scenes have no map, the first: {scene}: {reason}; {summary}"
        fix = "see the artifact scenes-without-map; the others are published"
        raise SiameseError(what, where="damage_map", fix=fix)
    return Completed(message=summary, data={"run": run, **settled, "maps": maps, "quarantined": quarantined})
