"""Gathers what is known of a map from the manifests behind it, for its products."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final

from affine import Affine
from pydantic import ValidationError

from siamese.errors import NotPublishedError, SiameseError
from siamese.evaluation.report import Report
from siamese.manifests import BuildingSet, Checkpoint, DamageMap, Evaluation, PairSet, Prediction, Split
from siamese.mapping.grid import Grid
from siamese.params import NetworkParams
from siamese.products.facts import MapFacts
from siamese.products.model_item import Network
from siamese.progress import LOGGER
from siamese.store import Manifest, ObjectStore
from siamese.store.manifest import MANIFEST

_LEARNED_FROM: Final[tuple[Split, ...]] = ("train", "val")


def facts_of(
    made: DamageMap,
    store: ObjectStore,
    prediction: Prediction | None,
    buildings: BuildingSet | None,
    *,
    evaluation: Evaluation | None = None,
) -> MapFacts:
    """Returns what is known of a map.

    Args:
        made: The map; it need not be published yet.
        store: Holds the manifests.
        prediction: What it was decided from; None of maps that older versions made in one step.
        buildings: Its buildings; None likewise.
        evaluation: How the model was scored.
    """
    steps: dict[str, Manifest] = {"publish": made}
    sources: list[tuple[str, str]] = []
    for title, step in (("predict", prediction), ("buildings", buildings)):
        if step is not None:
            steps[title] = step
            sources.append((f"{step.kind} {step.digest}", str(step.uri(store))))
    sources += [
        (f"{Checkpoint.kind} {digest}", _address(Checkpoint, digest, store))
        for digest in (made.checkpoint, *made.further)
    ]
    source = prediction or made
    grid = None
    if prediction is not None and prediction.crs is not None:
        grid = Grid(prediction.crs, Affine(*prediction.transform), prediction.width, prediction.height)
    pixel = grid.pixel_m2() if grid else None
    return MapFacts(
        map=made,
        made=source.created,
        transform=prediction.transform if prediction is not None and prediction.crs is not None else None,
        pre_date=made.taken[0],
        post_date=made.taken[1],
        seconds=prediction.seconds if prediction is not None else None,
        lineage=_lineage(made),
        inputs={
            name: source.origin.inputs[name] for name in ("pre", "post", "place") if source.origin.inputs.get(name)
        },
        params={title: step.origin.params.get("mapping", {}) for title, step in steps.items()},
        code={title: f"{step.revision}, code {step.origin.code}" for title, step in steps.items()},
        derived_from=tuple(sources),
        predecessor=_address(DamageMap, made.parent, store) if made.parent else None,
        networks=_networks(made, store),
        score=_score(evaluation, made.checkpoint, store) if evaluation else None,
        km2=pixel * made.width * made.height / 1e6 if pixel else None,
    )


def _networks(made: DamageMap, store: ObjectStore) -> tuple[Network, ...]:
    """Returns what is known of the networks of a map; nothing if one of their checkpoints is gone."""
    found = []
    for digest in (made.checkpoint, *made.further):
        try:
            checkpoint = Checkpoint.load(store, digest)
            config = json.loads(checkpoint.network.read(store))
            params, start = NetworkParams.model_validate(config["network"]), str(config["start"])
        except (SiameseError, ValidationError, ValueError, KeyError) as error:
            LOGGER.warning(f"the model of the map is not described: checkpoint {digest}: {error}")
            return ()
        address = str(checkpoint.uri(store))
        found.append(Network(digest, address, checkpoint.created, params, start, checkpoint.weights))
    return tuple(found)


def _score(evaluation: Evaluation, checkpoint: str, store: ObjectStore) -> dict[str, Any]:
    """Returns how good the model is, on all evaluated events and on those that it was not trained on."""
    report = Report.model_validate_json(evaluation.report.read(store))
    trained_on = None
    with suppress(NotPublishedError):
        splits = PairSet.load(store, Checkpoint.load(store, checkpoint).pairs).splits
        trained_on = {event for name in _LEARNED_FROM if name in splits for event in splits[name].events}
    events = {event: figures.pixels.scores.score for event, figures in report.events.items()}
    found: dict[str, Any] = {
        "evaluation": evaluation.digest,
        "split": evaluation.split,
        "scenes": report.scenes,
        **evaluation.scores.model_dump(),
        "building_macro_f1": report.buildings.macro_f1,
        "events": events,
    }
    if trained_on is not None:
        found["unseen_events"] = {event: score for event, score in events.items() if event not in trained_on}
    return found


def _address(kind: type[Manifest], digest: str, store: ObjectStore) -> str:
    """Returns where a manifest lies, or would lie if it had not been removed."""
    try:
        return str(kind.load(store, digest).uri(store))
    except NotPublishedError:
        return str(kind.folder(store, digest) / MANIFEST)


def _lineage(made: DamageMap) -> str:
    told = (
        f"Images before and after the disaster were compared by {made.model}; buildings were found in both and graded."
    )
    if made.labels:
        told += f" Then it was adapted to {len(made.labels)} set{'s' * (len(made.labels) != 1)} of labels by people."
    return told
