"""Batch production of damage maps: every scene under a prefix that has no map of the model yet."""

from __future__ import annotations

from typing import TypedDict

from prefect import flow

from flows.report import publish_maps
from flows.retrain import ingest_scenes
from flows.steps import Overrides, read_params, step
from siamese.errors import SiameseError, TransientError
from siamese.ingest.catalog import read_catalog
from siamese.manifests import SceneCatalog
from siamese.mapping import map_scene
from siamese.model import Predictor
from siamese.progress import LOGGER, progress
from siamese.registry import model_name, resolve_model
from siamese.store import ObjectStore

BATCH = 32
CHAMPION = "models:/siamese-damage@champion"


class MappedBatch(TypedDict):
    """What came of some scenes."""

    maps: list[str]
    """Digests."""
    failures: dict[str, str]
    """Why there is no map, by scene."""


@step
def choose_scenes(catalog: str, scenes: list[str] | None) -> list[str]:
    """Names of the scenes to map: those asked for, else all with both images."""
    store = ObjectStore()
    found = read_catalog(store, SceneCatalog.load(store, catalog))
    usable = [scene.scene for scene in found if scene.verdict != "quarantined"]
    return usable if scenes is None else [name for name in usable if name in scenes]


@step
def map_batch(catalog: str, scenes: list[str], models: list[str], overrides: Overrides) -> MappedBatch:
    """Maps some scenes, the networks loaded once; a scene that cannot be mapped does not hold up the others."""
    store, params = ObjectStore(), read_params(overrides)
    wanted = set(scenes)
    rows = [row for row in read_catalog(store, SceneCatalog.load(store, catalog)) if row.scene in wanted]
    first, *further = checkpoints = [resolve_model(model, store) for model in models]
    predictor = Predictor.load(store, *checkpoints, expected_pairs=len(rows), flips=params.mapping.flips)
    name = " + ".join(model_name(model, one, store) for model, one in zip(models, checkpoints, strict=True))
    maps, failures = [], {}
    with progress("map scenes", len(rows)) as advance:
        for row in rows:
            try:
                made = map_scene(row, first, params.mapping, store, further=further, model=name, predictor=predictor)
                made.mark_current(store)
                maps.append(made.digest)
            except TransientError:
                raise
            except SiameseError as error:
                failures[row.scene] = str(error)
                LOGGER.error(f"{row.scene} has no map: {error}")
            advance(note=row.scene)
    return {"maps": maps, "failures": failures}


@flow(name="damage_map", persist_result=True, result_serializer="json")
def damage_map(
    source: str | None = None,
    scenes: list[str] | None = None,
    model: str = CHAMPION,
    further: list[str] | None = None,
    overrides: Overrides | None = None,
) -> list[str]:
    """Publishes a damage map of each scene under a prefix; maps that this model has made already are found.

    Args:
        source: Prefix of the scenes, ``s3://…``; by default ``ingest.source`` of params.yaml.
        scenes: Only these, by name (``disaster_number``); by default all that are not quarantined.
        model: MLflow model URI, or the digest of a checkpoint.
        further: More models, whose probabilities are averaged with those of ``model``.
        overrides: What this run changes of params.yaml.

    Returns:
        The digests of the maps.

    Raises:
        SiameseError: Scenes could not be mapped; all others are.
    """
    changes = dict(overrides or {}) | ({"ingest.source": source} if source else {})
    catalog = ingest_scenes(changes)
    names = choose_scenes(catalog, scenes)
    batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
    done = [map_batch(catalog, batch, [model, *(further or ())], changes) for batch in batches]
    maps = [digest for batch in done for digest in batch["maps"]]
    failures = {scene: reason for batch in done for scene, reason in batch["failures"].items()}
    publish_maps(maps, failures)
    if failures:
        scene, reason = next(iter(failures.items()))
        what = f"{len(failures)} of {len(names)} scenes have no map, the first: {scene}: {reason}"
        raise SiameseError(
            what, where="damage_map", fix="see the artifact scenes-without-map; the others are published"
        )
    return maps
