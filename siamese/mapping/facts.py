"""Gathers what is known of a map from the manifests behind it, for its products."""

from __future__ import annotations

from datetime import datetime

from affine import Affine

from siamese.manifests import BuildingSet, Checkpoint, DamageMap, Prediction
from siamese.mapping.grid import Grid
from siamese.products.facts import MapFacts
from siamese.store import Manifest, ObjectStore


def facts_of(
    made: DamageMap,
    store: ObjectStore,
    prediction: Prediction | None,
    buildings: BuildingSet | None,
    *,
    dates: tuple[datetime | None, datetime | None] = (None, None),
) -> MapFacts:
    """Returns what is known of a map.

    Args:
        made: The map; it need not be published yet.
        store: Holds the manifests.
        prediction: What it was decided from; None of maps that older versions made in one step.
        buildings: Its buildings; None likewise.
        dates: When the images before and after the disaster were taken.
    """
    steps: dict[str, Manifest] = {"publish": made}
    sources: list[tuple[str, str]] = []
    for title, step in (("predict", prediction), ("buildings", buildings)):
        if step is not None:
            steps[title] = step
            sources.append((f"{step.kind} {step.digest}", str(step.uri(store))))
    for digest in (made.checkpoint, *made.further):
        sources.append((f"{Checkpoint.kind} {digest}", str(Checkpoint.folder(store, digest) / "manifest.json")))
    source = prediction or made
    grid = None
    if prediction is not None and prediction.crs is not None:
        grid = Grid(prediction.crs, Affine(*prediction.transform), prediction.width, prediction.height)
    pixel = grid.pixel_m2() if grid else None
    return MapFacts(
        map=made,
        made=source.created,
        transform=prediction.transform if prediction is not None and prediction.crs is not None else None,
        pre_date=dates[0],
        post_date=dates[1],
        lineage=_lineage(made),
        inputs={
            name: source.origin.inputs[name] for name in ("pre", "post", "place") if source.origin.inputs.get(name)
        },
        params={title: step.origin.params.get("mapping", {}) for title, step in steps.items()},
        code={title: f"{step.revision}, code {step.origin.code}" for title, step in steps.items()},
        derived_from=tuple(sources),
        predecessor=str(DamageMap.folder(store, made.parent) / "manifest.json") if made.parent else None,
        km2=pixel * made.width * made.height / 1e6 if pixel else None,
    )


def _lineage(made: DamageMap) -> str:
    told = (
        f"Images before and after the disaster were compared by {made.model}; buildings were found in both and graded."
    )
    if made.labels:
        told += f" Then it was adapted to {len(made.labels)} set{'s' * (len(made.labels) != 1)} of labels by people."
    return told
