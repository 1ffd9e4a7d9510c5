"""Batch production of damage maps: every scene under a prefix that has no map of the model yet."""

from __future__ import annotations

from prefect import flow

from flows.report import publish_maps
from flows.retrain import ingest_scenes
from flows.steps import Overrides, read_params, step
from siamese.ingest.catalog import read_catalog
from siamese.manifests import SceneCatalog
from siamese.mapping import map_scene
from siamese.model import Predictor
from siamese.progress import progress
from siamese.registry import model_name, resolve_model
from siamese.store import ObjectStore

BATCH = 32
CHAMPION = "models:/siamese-damage@champion"


@step
def choose_scenes(catalog: str, scenes: list[str] | None) -> list[str]:
    """Names of the scenes to map: those asked for, else all with both images."""
    store = ObjectStore()
    found = read_catalog(store, SceneCatalog.load(store, catalog))
    usable = [scene.scene for scene in found if scene.verdict != "quarantined"]
    return usable if scenes is None else [name for name in usable if name in scenes]


@step
def map_batch(catalog: str, scenes: list[str], model: str, overrides: Overrides) -> list[str]:
    """Maps some scenes, the network loaded once; gives the maps' digests."""
    store, params = ObjectStore(), read_params(overrides)
    wanted = set(scenes)
    rows = [row for row in read_catalog(store, SceneCatalog.load(store, catalog)) if row.scene in wanted]
    checkpoint = resolve_model(model, store)
    predictor = Predictor.load(store, checkpoint, expected_pairs=len(rows), flips=params.mapping.flips)
    name = model_name(model, checkpoint, store)
    digests = []
    with progress("map scenes", len(rows)) as advance:
        for row in rows:
            made = map_scene(row, checkpoint, params.mapping, store, model=name, predictor=predictor)
            made.mark_current(store)
            digests.append(made.digest)
            advance(note=row.scene)
    return digests


@flow(name="damage_map", persist_result=True, result_serializer="json")
def damage_map(
    source: str | None = None,
    scenes: list[str] | None = None,
    model: str = CHAMPION,
    overrides: Overrides | None = None,
) -> list[str]:
    """Publishes a damage map of each scene under a prefix; maps that this model has made already are found.

    Args:
        source: Prefix of the scenes, ``s3://…``; by default ``ingest.source`` of params.yaml.
        scenes: Only these, by name (``disaster_number``); by default all that are not quarantined.
        model: MLflow model URI, or the digest of a checkpoint.
        overrides: What this run changes of params.yaml.

    Returns:
        The digests of the maps.
    """
    changes = dict(overrides or {}) | ({"ingest.source": source} if source else {})
    catalog = ingest_scenes(changes)
    names = choose_scenes(catalog, scenes)
    batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
    maps = [digest for batch in batches for digest in map_batch(catalog, batch, model, changes)]
    publish_maps(maps)
    return maps
