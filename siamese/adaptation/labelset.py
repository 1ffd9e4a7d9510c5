"""Label sets: labels of people, kept on the bucket for ever with author, time and place."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from affine import Affine

from siamese.adaptation.buildings import MapBuildings
from siamese.adaptation.labels import LABEL_CLASSES, Label
from siamese.adaptation.stage import LABEL_SET
from siamese.manifests import DamageMap, LabelSet
from siamese.mapping.events import scene_of
from siamese.store import ObjectStore, put_blob
from siamese.store.stage import Input

SCHEMA: Final = pa.schema(
    [
        pa.field("building", pa.string(), nullable=False),
        pa.field("damage_class", pa.string(), nullable=False),
        pa.field("author", pa.string(), nullable=False),
        pa.field("scene", pa.string()),
        pa.field("geometry", pa.binary(), nullable=False),
    ]
)


def keep_labels(
    damage_map: DamageMap,
    buildings: MapBuildings,
    labels: Sequence[Label],
    store: ObjectStore,
    *,
    author: str,
    source: str,
    purpose: Literal["label", "assessment"] = "label",
    notes: Sequence[str] = (),
) -> LabelSet:
    """Keeps labels on the bucket; the same labels of the same person for the same map are kept once.

    Args:
        damage_map: The map whose buildings were labelled.
        buildings: Its buildings.
        labels: One a building.
        store: Where to keep them.
        author: Who labelled, where a label does not say.
        source: Name of the file that they come from.
        purpose: What they were made for.
        notes: What was strange about them.
    """
    scene = scene_of(damage_map.pre, damage_map.event)
    a, b, c, d, e, f = tuple(buildings.grid.transform if buildings.grid.crs else Affine.identity())[:6]
    there = buildings.outlines[[one.place for one in labels]]
    placed = shapely.transform(there, lambda points: points @ np.array([[a, d], [b, e]]) + np.array([c, f]))
    table = pa.table(
        {
            "building": [buildings.ids[one.place] for one in labels],
            "damage_class": [one.damage_class for one in labels],
            "author": [one.author or author for one in labels],
            "scene": [scene] * len(labels),
            "geometry": shapely.to_wkb(np.asarray(placed, object)).tolist(),
        },
        schema=SCHEMA,
    )
    written = io.BytesIO()
    pq.write_table(table, written, compression="zstd")
    counts = Counter(one.damage_class for one in labels)
    rows = "\n".join(f"{buildings.ids[one.place]} {one.damage_class} {one.author or author}" for one in labels)
    identity = hashlib.sha256(rows.encode()).hexdigest()[:16]
    inputs: dict[str, Input] = {"map": damage_map, "purpose": purpose, "author": author, "labels": identity}
    origin = LABEL_SET.plan(inputs=inputs, params={})
    if found := LABEL_SET.find(store, origin):
        return found
    return LabelSet(
        origin=origin,
        event=damage_map.event,
        scene=scene,
        map=damage_map.digest,
        author=author,
        made=datetime.now(UTC),
        purpose=purpose,
        source=source,
        crs=buildings.grid.crs,
        pre=damage_map.pre,
        post=damage_map.post,
        table=put_blob(store, LabelSet.folder(store, origin.digest), "labels.parquet", written.getvalue()),
        counts={name: counts[name] for name in LABEL_CLASSES if counts[name]},
        notes=tuple(notes),
    ).publish(store)


def read_labels(labels: LabelSet, buildings: MapBuildings, store: ObjectStore) -> tuple[Label, ...]:
    """Returns the labels of a set that are about buildings of a map; others are of buildings that it lacks."""
    rows = pq.read_table(io.BytesIO(labels.table.read(store))).to_pylist()
    return tuple(
        Label(buildings.places[row["building"]], row["damage_class"], row["author"], labels.digest)
        for row in rows
        if row["building"] in buildings.places
    )
