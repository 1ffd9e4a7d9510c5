"""The real scenes: all accepted; and of three that are spoilt exactly those quarantined."""

from __future__ import annotations

import json
from pathlib import Path

from builders.made_scenes import Reads, taken

from siamese.ingest import upload
from siamese.store import ObjectStore

CUT, RENAMED, WIDOWED = "santa-rosa-wildfire_00000360", "hurricane-michael_00000022", "joplin-tornado_00000001"


def test_all_real_scenes_are_accepted_and_exactly_the_spoilt_ones_quarantined(
    store: ObjectStore, real_data: Path
) -> None:
    source = store.raw / "xbd"
    report = upload(real_data / "xbd", source, store)
    assert report.files == 173
    catalog, rows = taken(store, source)
    assert (catalog.accepted, catalog.unlabelled, catalog.quarantined, catalog.ignored) == (43, 0, 0, 1)
    assert catalog.buildings == {
        "no-damage": 1885, "minor-damage": 324, "major-damage": 106, "destroyed": 285, "un-classified": 25,
    }  # fmt: skip
    placed = [row for row in rows.values() if row.georeference]
    assert len(placed) == sum(1 for row in rows.values() if sum(row.buildings.values()))
    assert max(row.residual_px or 0 for row in placed) < 0.02
    assert all(0.3 < (row.pixel_m or 0) < 0.6 for row in placed)

    image = (real_data / "xbd" / "images" / f"{CUT}_post_disaster.png").read_bytes()
    store.put(source / f"images/{CUT}_post_disaster.png", image[:-1])
    label = json.loads((real_data / "xbd" / "labels" / f"{RENAMED}_post_disaster.json").read_bytes())
    label["features"]["xy"][3]["properties"]["damage"] = label["features"]["xy"][3]["properties"].pop("subtype")
    store.put(source / f"labels/{RENAMED}_post_disaster.json", json.dumps(label).encode())
    gone = source / f"images/{WIDOWED}_pre_disaster.png"
    store.client.delete_object(Bucket=gone.bucket, Key=gone.key)

    reads = Reads(store)
    catalog, rows = taken(store, source)
    assert (catalog.accepted, catalog.quarantined) == (40, 3)
    reasons = {name: row.reasons for name, row in rows.items() if row.verdict == "quarantined"}
    assert set(reasons) == {CUT, RENAMED, WIDOWED}
    assert [len(told) for told in reasons.values()] == [1, 1, 1]
    assert "PNG is truncated" in reasons[CUT][0]
    assert "features.xy[3].properties.subtype is missing (found instead: damage)" in reasons[RENAMED][0]
    assert reasons[WIDOWED] == ("pre image is missing",)
    assert {key.split("/")[-1].rsplit("_", 2)[0] for key in reads.below("xbd/")} == {CUT, RENAMED}
