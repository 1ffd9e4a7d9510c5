"""The flow ``damage_map`` on a whole disaster: one map, adapted to the labels on the bucket, with links to files."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from builders.quake_archive import BUILDINGS, SIDE, WEST, quake_catalog, quake_footprints
from builders.tinyscenes import DEGREES_PER_PX
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import TaskRun
from prefect.client.schemas.sorting import TaskRunSort

from flows.damage_map import damage_map
from flows.report import LINKED
from siamese.adaptation.buildings import read_map_buildings
from siamese.adaptation.labels import Label
from siamese.adaptation.labelset import keep_labels
from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, DamageMap, MapPage, Prediction
from siamese.store import ObjectStore


def task_runs() -> list[TaskRun]:
    """The tasks that Prefect knows of, the latest first."""
    with get_client(sync_client=True) as client:
        return client.read_task_runs(sort=TaskRunSort.EXPECTED_START_TIME_DESC, limit=50)


pytestmark = pytest.mark.usefixtures("prefect_server", "worker", "one_thread")


def test_a_disaster_is_one_map_that_learns_what_people_said(
    store: ObjectStore, crown: Callable[[int], Checkpoint], worker: Path
) -> None:
    quake_catalog(store, 3, unplaced=[2])
    (worker / "params.yaml").write_text(
        f"ingest: {{source: {store.raw / 'quake'}}}\n"
        "mapping: {picture_px: 256, tile_px: 128, overlap_px: 32, workers: 2}\n"
        "embedding: {window_px: 128, margin_px: 32}\n"
    )
    crown(1)
    store.put(store.raw / "footprints.geojson", quake_footprints(2))
    asked = {"per": "disaster", "event": "quake", "footprints": str(store.raw / "footprints.geojson")}
    with pytest.raises(SiameseError, match="disaster_date: is only for STAC catalogs"):
        damage_map(per="disaster", disaster_date=date(2026, 1, 2))
    ended = damage_map(**asked, return_state=True)
    assert ended.message == "2 maps by siamese-damage version 1; 0 scenes quarantined"
    assert ended.result()["notes"] == {"quake_00000002": "has no georeference, so it is mapped on its own"}
    assert DamageMap.mapped_events(store) == {"quake", "quake_00000002"}
    assert any(run.name.startswith("predict-windows") for run in task_runs()), "windows are tasks on a cluster"
    whole = DamageMap.current(store, "quake")
    assert (len(whole.pre), len(whole.post), whole.parent) == (2, 2, None)
    assert whole.digest in ended.result()["pages"]

    buildings = read_map_buildings(whole, store)
    assert len(buildings) == 2 * len(BUILDINGS), "each footprint is one"
    given = [Label(0, "destroyed"), Label(len(buildings) - 1, "no_damage")]
    labels = keep_labels(whole, buildings, given, store, author="Ana", source="labels.geojson")
    ended = damage_map(**asked, return_state=True)
    adapted = DamageMap.current(store, "quake")
    assert (adapted.parent, adapted.labels) == (whole.digest, (labels.digest,))
    assert adapted.digest in ended.result()["maps"]
    found = read_map_buildings(adapted, store).classes
    assert (found[0], found[-1]) == (3, 0)

    predictions = len(list(store.list(store.lake / Prediction.kind / "")))
    objects = len(list(store.list(store.maps)))
    assert damage_map(**asked, return_state=True).result() == ended.result()
    assert DamageMap.current(store, "quake") == adapted
    assert len(list(store.list(store.maps))) == objects, "nothing is made again"
    assert len(list(store.list(store.lake / Prediction.kind / ""))) == predictions

    artifact = Artifact.get("damage-maps")
    assert artifact is not None
    rows = {row["event"]: row for row in json.loads(str(artifact.data))}
    row = rows["quake"]
    assert row["buildings"] == sum(adapted.counts.values())
    assert set(LINKED) <= set(row)
    with urllib.request.urlopen(row["page"]) as page:  # noqa: S310 - the tests' own server
        assert page.headers["Content-Type"] == "text/html"
        kept = MapPage.load(store, ended.result()["pages"][adapted.digest])
        assert page.read() == kept.products["page"].read(store)

    damage_map(**asked, adapt=False, pages=False)
    assert DamageMap.current(store, "quake") == whole

    across = SIDE * DEGREES_PER_PX
    damage_map(per="disaster", aoi=f"{WEST},{10 - across / 2},{WEST + across / 2},10", pages=False)
    assert len(DamageMap.current(store, "quake").pre) == 1, "scenes outside the area are not part of the mosaic"
    with pytest.raises(SiameseError, match=r"50,50,51,51: no scene under .* lies in this area of interest"):
        damage_map(per="disaster", aoi="50,50,51,51", pages=False)
