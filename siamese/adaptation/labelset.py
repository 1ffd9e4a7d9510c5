"""Label sets: labels of people, kept on the bucket for ever with author, time and place."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from affine import Affine
from shapely.geometry.base import BaseGeometry

from siamese.adaptation.buildings import Geometries, MapBuildings
from siamese.adaptation.labels import LABEL_CLASSES, Label, best_match
from siamese.adaptation.stage import LABEL_SET
from siamese.geo.globe import reproject_points
from siamese.manifests import DamageMap, LabelSet
from siamese.mapping.events import scene_of
from siamese.mapping.grid import Grid
from siamese.store import ObjectStore, put_blob
from siamese.store.stage import Input

CARRIED_IOU: Final = 0.25
"""Intersection over union from which a label means a building of another map. No param: what a label set means for a
map must not depend on who reads it."""
_SAME_IOU: Final = 0.5
"""Intersection over union from which a building of the same id is the labelled one."""
_NEARLY_PX: Final = 1e-3
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


@dataclass(frozen=True)
class PlacedLabels:
    """The labels of a set on the buildings of a map."""

    labels: tuple[Label, ...] = ()
    """One a building."""
    lost: int = 0
    """Labels on the ground of the map where it has no building; of its own event, also those outside."""
    torn: tuple[str, ...] = ()
    """Ids of buildings that several labels of different classes mean; they count as not labelled."""


def read_labels(labels: LabelSet, buildings: MapBuildings, store: ObjectStore) -> tuple[Label, ...]:
    """Returns the labels of a set that are about buildings of a map; others are of buildings that it lacks."""
    return place_labels(labels, buildings, store).labels


def place_labels(
    labels: LabelSet, buildings: MapBuildings, store: ObjectStore, *, event: str | None = None
) -> PlacedLabels:
    """Finds the buildings of a map that the labels of a set mean, which may have been given to another map.

    A label means the building of its id, if that stands where the label was given; or else the one that it overlaps
    most, as in :func:`siamese.adaptation.labels.match_labels`. So labels carry over to maps of other models.

    Args:
        labels: The set.
        buildings: The buildings of the map.
        store: Holds the set.
        event: Event of the map.

    Raises:
        SiameseError: The set's table is missing or damaged.
    """
    rows = pq.read_table(io.BytesIO(labels.table.read(store))).to_pylist()
    shapes = _in_pixels(labels, [row["geometry"] for row in rows], buildings.grid)
    if shapes is None:
        return PlacedLabels(lost=len(rows) if labels.event == event else 0)
    named = [buildings.places.get(row["building"]) for row in rows]
    places = [
        place if place is not None and _one_place(shape, buildings.outlines[place]) else None
        for place, shape in zip(named, shapes, strict=True)
    ]
    if None in places:
        tree = shapely.STRtree(buildings.outlines)
        places = [
            best_match(tree, shape, CARRIED_IOU) if place is None else place
            for place, shape in zip(places, shapes, strict=True)
        ]
    ground = shapely.box(0, 0, buildings.grid.width, buildings.grid.height)
    missed = [shape for place, shape in zip(places, shapes, strict=True) if place is None]
    given: dict[int, list[Label]] = {}
    for place, row in zip(places, rows, strict=True):
        if place is not None:
            one = Label(place, row["damage_class"], row["author"], labels.digest)
            given.setdefault(place, []).append(one)
    torn = [place for place, several in given.items() if len({one.damage_class for one in several}) > 1]
    return PlacedLabels(
        labels=tuple(several[-1] for place, several in sorted(given.items()) if place not in torn),
        lost=sum(labels.event == event or bool(shape.intersects(ground)) for shape in missed),
        torn=tuple(buildings.ids[place] for place in sorted(torn)),
    )


def _in_pixels(labels: LabelSet, shapes: Sequence[bytes], grid: Grid) -> Geometries | None:
    """Returns shapes of a set in pixels of a grid; None if only one of both is placed on the ground."""
    found: Geometries = np.empty(len(shapes), object)
    found[:] = shapely.from_wkb(np.array(shapes, object))
    if (labels.crs is None) != (grid.crs is None):
        return None
    if labels.crs is not None and grid.crs is not None:
        crs, target = labels.crs, grid.crs
        same = crs == target
        found[:] = shapely.transform(
            found, lambda points: grid.to_pixels(points if same else reproject_points(points, crs, target))
        )
        far = [not np.isfinite(shapely.get_coordinates(one)).all() for one in found]
        found[far] = shapely.Polygon()
    return np.asarray(shapely.make_valid(found), object)


def _one_place(shape: BaseGeometry, outline: BaseGeometry) -> bool:
    """Returns whether a label was given where a building stands."""
    if shapely.equals_exact(shape, outline, _NEARLY_PX):
        return True
    shared = shape.intersection(outline).area
    return bool(shared >= _SAME_IOU * (shape.area + outline.area - shared) > 0)
