"""The verb ``assess``: a random sample of a map's buildings to label, and what its labels say about the map."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from siamese.adaptation.buildings import UNKNOWN, MapBuildings
from siamese.adaptation.estimate import Sampled, allocate, estimate, random_order
from siamese.adaptation.labels import NO_BUILDING, UNCLEAR, Label, match_labels, named, read_label_file
from siamese.adaptation.labelset import keep_labels
from siamese.adaptation.lineage import Lineage, trace
from siamese.adaptation.stage import ASSESSMENT, SAMPLE
from siamese.classes import DAMAGE_CLASSES
from siamese.errors import SiameseError
from siamese.manifests import Assessment, AssessmentSample, DamageMap
from siamese.mapping.buildings import CLASSES
from siamese.params import AdaptationParams
from siamese.store import ObjectStore, put_blob

SCHEMA: Final = pa.schema(
    [
        pa.field("building", pa.string(), nullable=False),
        pa.field("stratum", pa.string(), nullable=False),
        pa.field("geometry", pa.binary(), nullable=False),
    ]
)


def draw_sample(damage_map: DamageMap, size: int, params: AdaptationParams, store: ObjectStore) -> AssessmentSample:
    """Draws the buildings of a map that a person shall label to assess it.

    The draw is stratified by mapped class. Chance comes from a hash of each building's id and of the map, so that
    nobody can draw again until the result flatters; a larger sample holds the smaller one. Buildings that the map was
    adapted with are not drawn: a person has said what they are.

    Args:
        damage_map: The map.
        size: Buildings to draw; all if the map has fewer.
        params: Least number of each class.
        store: Where the map lies and the sample goes.

    Raises:
        SiameseError: The map has no buildings, or too few are asked for.
    """
    if size < len(CLASSES):
        fix = f"ask for {len(CLASSES)} or more, better 100"
        raise SiameseError(f"{size} buildings are too few to assess a map", where="-n", fix=fix)
    lineage = trace(damage_map, store)
    origin = SAMPLE.plan(
        inputs={"map": damage_map, "size": str(size), "labels": " ".join(damage_map.labels)},
        params={"adaptation": params},
    )
    if found := SAMPLE.find(store, origin):
        return found
    buildings = lineage.current(store)
    taken = _known(lineage, buildings)
    free = np.ones(len(buildings), bool)
    free[list(taken)] = False
    order = random_order(buildings.ids, lineage.root.buildings.sha256)
    members = [np.flatnonzero(free & (buildings.classes == number)) for number in range(len(CLASSES))]
    sizes = allocate([len(one) for one in members], size, params.least)
    drawn = [one[np.argsort(order[one])][:count] for one, count in zip(members, sizes, strict=True)]
    # In random order, not by class: whoever labels shall not see what the map says.
    places = np.concatenate(drawn)
    places = places[np.argsort(order[places])]
    folder = AssessmentSample.folder(store, origin.digest)
    return AssessmentSample(
        origin=origin,
        event=damage_map.event,
        map=damage_map.digest,
        table=put_blob(store, folder, "sample.parquet", _table(buildings, places)),
        geojson=put_blob(store, folder, "sample.geojson", to_label(buildings, places, {}), "application/geo+json"),
        strata={name: (len(one), count) for name, one, count in zip(CLASSES, members, sizes, strict=True)},
        known=len(taken),
    ).publish(store)


def assess_map(
    damage_map: DamageMap, sample: AssessmentSample, labels: Path, params: AdaptationParams, store: ObjectStore,
    *, author: str,
) -> Assessment:  # fmt: skip
    """Estimates how right a map is from labels of its sample, and keeps labels and estimate.

    Args:
        damage_map: The map.
        sample: The buildings that were drawn.
        labels: A label of each of them, GeoJSON or CSV.
        params: How labels are matched.
        store: Where all is kept.
        author: Who labelled, where a label does not say.

    Raises:
        SiameseError: A building of the sample has no label, or the labels cannot be used; the message names them.
    """
    buildings = trace(damage_map, store).current(store)
    where = str(labels)
    given = match_labels(read_label_file(labels), buildings, iou=params.match_iou, where=where)
    if missing := unlabelled(sample, given, buildings, store):
        fix = f"label every building of the sample; {UNCLEAR} where nobody can tell"
        have = "1 building of the sample has" if len(missing) == 1 else f"{len(missing)} buildings of the sample have"
        raise SiameseError(f"{have} no label: {named(missing)}", where=where, fix=fix)
    return assess_labels(damage_map, sample, given, store, author=author, source=where)


def unlabelled(
    sample: AssessmentSample, given: Sequence[Label], buildings: MapBuildings, store: ObjectStore
) -> list[str]:
    """Returns the buildings of a sample that have no label.

    Args:
        sample: The buildings that were drawn.
        given: Labels.
        buildings: Those of the map.
        store: Holds the sample.
    """
    labelled = {one.place for one in given}
    return [name for name in _drawn(sample, store) if buildings.places[name] not in labelled]


def assess_labels(
    damage_map: DamageMap, sample: AssessmentSample, given: Sequence[Label], store: ObjectStore,
    *, author: str, source: str,
) -> Assessment:  # fmt: skip
    """Estimates how right a map is from labels that cover its sample, and keeps labels and estimate.

    Args:
        damage_map: The map.
        sample: The buildings that were drawn.
        given: Labels; those of other buildings are not counted.
        store: Where all is kept.
        author: Who labelled, where a label does not say.
        source: Where the labels come from.
    """
    lineage = trace(damage_map, store)
    buildings = lineage.current(store)
    by_place = {one.place: one for one in given}
    used = [by_place[place] for place in sorted(buildings.places[name] for name in _drawn(sample, store))]
    known = _known(lineage, buildings)
    notes = _notes(len(given) - len(used), used, len(known) if lineage.labels else None)
    kept = keep_labels(
        damage_map, buildings, used, store, author=author, source=source, purpose="assessment", notes=notes
    )
    origin = ASSESSMENT.plan(inputs={"sample": sample, "labels": kept}, params={})
    if found := ASSESSMENT.find(store, origin):
        return found
    told = estimate(sampled(buildings, known, used))
    return Assessment(
        origin=origin,
        event=damage_map.event,
        map=damage_map.digest,
        sample=sample.digest,
        labels=kept.digest,
        buildings=len(buildings),
        sampled=len(used),
        classes=told.classes,
        damaged=told.damaged,
        accuracy=told.accuracy,
        macro_f1=told.macro_f1,
        notes=notes,
    ).publish(store)


def sampled(buildings: MapBuildings, known: Mapping[int, int], labels: Sequence[Label]) -> Sampled:
    """Counts buildings and labels by mapped and true class.

    Args:
        buildings: As the map has them.
        known: Class of buildings that a person had labelled before.
        labels: Of the sample; unclear ones are left out.
    """
    free = np.ones(len(buildings), bool)
    free[list(known)] = False
    truth: npt.NDArray[np.int64] = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    columns = {name: number for number, name in enumerate((*DAMAGE_CLASSES, NO_BUILDING))}
    for one in labels:
        if one.damage_class != UNCLEAR:
            truth[buildings.classes[one.place], columns[one.damage_class]] += 1
    return Sampled(
        population=np.bincount(buildings.classes[free], minlength=UNKNOWN + 1),
        truth=truth,
        known=np.bincount(list(known.values()), minlength=len(DAMAGE_CLASSES)).astype(np.int64),
    )


def to_label(
    buildings: MapBuildings,
    places: Sequence[int] | npt.NDArray[np.int64],
    properties: Mapping[int, Mapping[str, Any]],
) -> bytes:
    """Returns GeoJSON of buildings for a person to label: ``damage_class`` is null.

    Args:
        buildings: The buildings of the map.
        places: Which of them, in this order.
        properties: More properties, by position.
    """
    head: dict[str, Any] = {"type": "FeatureCollection"}
    if buildings.grid.crs is None:
        head["coordinates"] = "pixels from the upper left corner, x right, y down; the imagery has no georeference"
    features = [
        {
            "type": "Feature",
            "id": buildings.ids[place],
            "properties": {"id": buildings.ids[place], "damage_class": None, **properties.get(int(place), {})},
            "geometry": json.loads(shapely.to_geojson(buildings.geometry[place])),
        }
        for place in places
    ]
    return json.dumps(head | {"features": features}, indent=1).encode()


def _known(lineage: Lineage, current: MapBuildings) -> dict[int, int]:
    """Returns the classes that people gave before, by position in the map as it is now."""
    return {
        place: DAMAGE_CLASSES.index(one.damage_class)
        for place, one in lineage.labels_of(current).items()
        if one.damage_class in DAMAGE_CLASSES
    }


def _table(buildings: MapBuildings, places: npt.NDArray[np.int64]) -> bytes:
    table = pa.table(
        {
            "building": [buildings.ids[place] for place in places],
            "stratum": [CLASSES[buildings.classes[place]] for place in places],
            "geometry": shapely.to_wkb(buildings.geometry[places]).tolist(),
        },
        schema=SCHEMA,
    )
    written = io.BytesIO()
    pq.write_table(table, written, compression="zstd")
    return written.getvalue()


def _drawn(sample: AssessmentSample, store: ObjectStore) -> list[str]:
    names: list[str] = pq.read_table(io.BytesIO(sample.table.read(store)), columns=["building"])["building"].to_pylist()
    return names


def _notes(others: int, used: Sequence[Label], known: int | None) -> tuple[str, ...]:
    notes = []
    if others:
        notes.append(f"{others} labelled building{'s are' if others > 1 else ' is'} not of the sample, so not counted")
    unclear = sum(one.damage_class == UNCLEAR for one in used)
    if unclear:
        are = "buildings that nobody could judge are" if unclear > 1 else "building that nobody could judge is"
        notes.append(f"{unclear} {are} taken to be like the others of their mapped class")
    if known is not None:
        notes.append(f"{known} buildings that the map was adapted with count as certain")
    notes.append("buildings that the map missed are in no figure: the sample is drawn from those that it found")
    return tuple(notes)
