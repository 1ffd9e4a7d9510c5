"""Publishes a run's artifacts in Prefect: score table, picture, links, scenes without a map."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from prefect.artifacts import create_image_artifact, create_link_artifact, create_table_artifact

from siamese.manifests import DamageMap, EmbeddingIndex, Evaluation, MapPage, ModelVersion, SceneCatalog
from siamese.servers import without_login
from siamese.store import Blob, ObjectStore, S3Uri

LINK_SECONDS = 7 * 24 * 3600
LINKED = {
    "page": "page",
    "report": "report_html",
    "report (PDF)": "report_pdf",
    "STAC item": "stac_item",
    "GeoPackage": "geopackage",
    "map": "damage",
    "picture": "picture",
}
"""Title of a link, and the name of the map's file."""
MOST_ROWS = 1000
"""Of a table of scenes; its description has the whole number."""


def publish_retraining(made: Mapping[str, str], decision: Mapping[str, Any]) -> None:
    """Publishes the score table, the gate's decision, a plot and links for one retraining run.

    Args:
        made: Digests by name: catalog, evaluation, version.
        decision: The ledger's entry.
    """
    store = ObjectStore()
    catalog = SceneCatalog.load(store, made["catalog"])
    evaluation = Evaluation.load(store, made["evaluation"])
    version = ModelVersion.load(store, made["version"])
    create_table_artifact(
        [{"figure": name, "value": round(value, 4)} for name, value in evaluation.scores.model_dump().items()],
        key="score",
        description=f"Official xView2 score on split {evaluation.split}; {version.name} version {version.version}",
    )
    create_table_artifact(
        [{"": key, "value": str(value)} for key, value in decision.items()],
        key="gate",
        description="The gate's decision",
    )
    create_table_artifact(
        [
            {"verdict": "accepted", "scenes": catalog.accepted},
            {"verdict": "unlabelled", "scenes": catalog.unlabelled},
            {"verdict": "quarantined", "scenes": catalog.quarantined},
        ],
        key="scenes",
        description=catalog.source,
    )
    for name, plot in evaluation.plots.items():
        create_image_artifact(_inline(store, plot), key=f"plot-{name.replace('_', '-')}", description=name)
    server = os.environ.get("MLFLOW_TRACKING_URI", "")
    if server.startswith("http"):
        link = f"{without_login(server)}/#/models/{version.name}/versions/{version.version}"
        create_link_artifact(link, f"{version.name} version {version.version} in MLflow", key="model")


def publish_maps(
    digests: Sequence[str],
    failures: Mapping[str, str],
    quarantined: Mapping[str, str],
    *,
    not_adapted: Mapping[str, str] | None = None,
    notes: Mapping[str, str] | None = None,
    pages: Mapping[str, str] | None = None,
) -> None:
    """Publishes a table of the maps, with links valid for a week, and the picture of the most damaged one.

    The table holds the most damaged maps first. If the most damaged one has a page, that is an artifact of its own.

    Args:
        digests: Digests of the maps.
        failures: Why mapping failed, by scene; shown in a separate table.
        quarantined: Why a scene under the source was not attempted, by scene; also in a separate table.
        not_adapted: Why a map could not be adapted to the labels of people, by event; likewise.
        notes: What else people should know, by event; likewise.
        pages: Digest of the MapPage, by that of its map.
    """
    for key, first, told, what in (
        ("scenes-without-map", "scene", failures, "scenes without a map"),
        ("scenes-quarantined", "scene", quarantined, "scenes quarantined at ingest; mend and upload them again"),
        ("maps-not-adapted", "event", not_adapted or {}, "maps not adapted to the labels that people gave"),
        ("map-notes", "event", notes or {}, "maps that something is to be known of"),
    ):
        if told:
            rows = [{first: name, "reason": reason} for name, reason in islice(told.items(), MOST_ROWS)]
            create_table_artifact(rows, key=key, description=f"{len(told)} {what}")
    store = ObjectStore()
    maps = sorted((DamageMap.load(store, digest) for digest in digests), key=_damaged, reverse=True)
    if not maps:
        return
    listed = [_row(made, pages or {}, store) for made in maps[:MOST_ROWS]]
    create_table_artifact(listed, key="damage-maps", description=f"{len(maps)} damage maps")
    worst, links = maps[0], listed[0]
    create_image_artifact(_inline(store, worst.picture), key="most-damaged", description=worst.event)
    if "page" in links:
        create_link_artifact(str(links["page"]), f"{worst.event}: the page", key="page", description=worst.event)


def _damaged(made: DamageMap) -> int:
    return made.counts.get("destroyed", 0) + made.counts.get("major_damage", 0)


def _row(made: DamageMap, pages: Mapping[str, str], store: ObjectStore) -> dict[str, object]:
    """Returns counts of a map and links to its files; an older map has fewer."""
    page = MapPage.load(store, pages[made.digest]).products if made.digest in pages else {}
    files = {"damage": made.classes, "picture": made.picture, **made.products, **page}
    links = {
        title: store.share(S3Uri.parse(files[name].uri), LINK_SECONDS)
        for title, name in LINKED.items()
        if name in files
    }
    return {"event": made.event, "buildings": sum(made.counts.values()), **made.counts, **links}


def publish_indexes(indexes: Mapping[str, str], failures: Mapping[str, str]) -> None:
    """Publishes a table of new indexes, and one of the maps that have none.

    Args:
        indexes: Digests of the indexes, by event.
        failures: Why a map has none, by event.
    """
    if failures:
        rows = [{"event": event, "reason": reason} for event, reason in islice(failures.items(), MOST_ROWS)]
        create_table_artifact(rows, key="maps-without-index", description=f"{len(failures)} maps without an index")
    if indexes:
        store = ObjectStore()
        found = ((event, EmbeddingIndex.load(store, digest)) for event, digest in islice(indexes.items(), MOST_ROWS))
        listed = [
            {"event": event, "buildings": one.count, "index": one.digest, "of": one.source} for event, one in found
        ]
        create_table_artifact(listed, key="indexes", description=f"{len(indexes)} maps indexed")


def _inline(store: ObjectStore, picture: Blob) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read(store)).decode()
