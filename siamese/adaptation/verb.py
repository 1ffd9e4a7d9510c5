"""The verbs ``select`` and ``adapt``: which buildings a person should label next, and a map decided from labels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from siamese.adaptation.buildings import MapBuildings
from siamese.adaptation.contradictions import contradictions
from siamese.adaptation.decided import write_decided
from siamese.adaptation.kept import about, in_order, left_out
from siamese.adaptation.labels import NO_BUILDING, UNCLEAR, Label, match_labels, named, read_label_file
from siamese.adaptation.labelset import keep_labels, place_labels
from siamese.adaptation.lineage import Lineage, latest, root_of, trace, vectors_of
from siamese.adaptation.model import adapt_along, decide_classes, directions_of
from siamese.adaptation.picturing import map_images
from siamese.adaptation.selection import entropy, select
from siamese.adaptation.stage import ADAPTED
from siamese.classes import DAMAGE_CLASSES
from siamese.embedding.reopening import map_parts
from siamese.errors import SiameseError
from siamese.manifests import BuildingSet, DamageMap, EmbeddingIndex, LabelSet, Prediction
from siamese.mapping.publish import MapSubject, publish_about
from siamese.mapping.workplace import workplace
from siamese.params import AdaptationParams, EmbeddingParams, PublishParams
from siamese.progress import LOGGER, progress
from siamese.store import ObjectStore, S3Uri, put_file


@dataclass(frozen=True)
class Pick:
    """A building that a person should label."""

    place: int
    """Position of the building in its map."""
    building: str
    """Its id."""
    damage_class: str
    """Its current class in the map."""
    unsure: float
    """0 sure, 1 all classes alike."""


def select_buildings(
    damage_map: DamageMap,
    count: int,
    params: AdaptationParams,
    embedding: EmbeddingParams,
    store: ObjectStore,
    *,
    index: EmbeddingIndex | None = None,
) -> tuple[MapBuildings, tuple[Pick, ...]]:
    """Picks the buildings of a map that a person should label next.

    Args:
        damage_map: The map; the labels that it was adapted with count as labelled.
        count: How many to pick.
        params: What counts how much.
        embedding: What the vectors are made of, if they have to be made.
        store: Where the map and its vectors lie.
        index: Vectors to take instead of the map's own.

    Returns:
        The map's buildings, and the picks, the most useful first.

    Raises:
        SiameseError: The map has no buildings, all are labelled, or its vectors cannot be had.
    """
    if count < 1:
        raise SiameseError(f"{count} buildings were asked for", where="-n", fix="ask for 1 or more")
    lineage = trace(damage_map, store)
    buildings = lineage.current(store)
    there = lineage.places_of(buildings)
    known = lineage.buildings.known[there]
    asked = np.flatnonzero(known)
    labelled = [place for place in lineage.labels_of(buildings) if known[place]]
    if len(labelled) >= len(asked):
        what = "every building whose damage can be told is labelled"
        raise SiameseError(what, where=f"damage map {damage_map.digest}", fix="`siamese adapt` with other labels")
    along = directions_of(vectors_of(lineage, embedding, store, index), params)[there]
    renumbered = {int(place): number for number, place in enumerate(asked)}
    chosen = select(
        along[asked],
        buildings.probabilities[asked],
        buildings.positions[asked],
        count,
        [renumbered[place] for place in labelled],
        params,
    )
    unsure = entropy(buildings.probabilities)
    picks = (int(asked[number]) for number in chosen)
    return buildings, tuple(
        Pick(place, buildings.ids[place], DAMAGE_CLASSES[buildings.classes[place]], float(unsure[place]))
        for place in picks
    )


def adapt_map(
    damage_map: DamageMap,
    labels: Path,
    params: AdaptationParams,
    embedding: EmbeddingParams,
    mapping: PublishParams,
    store: ObjectStore,
    *,
    author: str,
    index: EmbeddingIndex | None = None,
) -> DamageMap:
    """Decides all buildings of a map anew from a person's labels, and publishes the map.

    No network runs, unless the buildings have no vectors yet. Labels that the map was adapted with before still count;
    a new label of the same building replaces them. A building that a label calls none is taken out of the map, and
    comes back when a later label calls it something else.

    Args:
        damage_map: The map.
        labels: GeoJSON or CSV; see :func:`siamese.adaptation.labels.read_label_file`.
        params: How labels are matched, and strengths of the model.
        embedding: What the vectors are made of, if they have to be made.
        mapping: Threshold for review, and the picture's size.
        store: Where the map lies, and where labels and the new map go.
        author: Who labelled, where a label does not say.
        index: Vectors to take instead of the map's own.

    Raises:
        SiameseError: The labels cannot be used (the message names them), or the map's vectors cannot be had.
    """
    earlier = trace(damage_map, store)
    written = read_label_file(labels)
    given = match_labels(written, earlier.buildings, iou=params.match_iou, where=str(labels))
    lineage = replace(earlier, labels=latest([earlier.labels.values(), given]))
    if not (lineage.known or lineage.absent or earlier.absent):
        fix = f"give some buildings one of {', '.join(DAMAGE_CLASSES)} or {NO_BUILDING}"
        raise SiameseError("no label is a damage class", where=str(labels), fix=fix)
    vectors = vectors_of(lineage, embedding, store, index) if lineage.known else None
    kept = keep_labels(damage_map, lineage.buildings, given, store, author=author, source=str(labels))
    lineage = replace(lineage, sets=(*(one for one in lineage.sets if one.digest != kept.digest), kept))
    return _learn(lineage, vectors, _changed_minds(earlier, given), params, mapping, store)


def adapt_to_kept(
    damage_map: DamageMap,
    params: AdaptationParams,
    embedding: EmbeddingParams,
    mapping: PublishParams,
    store: ObjectStore,
    *,
    sets: Sequence[LabelSet] | None = None,
) -> tuple[DamageMap, tuple[str, ...]]:
    """Adapts a map with all labels of its disaster that people have handed in, whichever map they labelled.

    The labels are found by place, so they carry over to the map of another model, of more images, or of one scene of a
    mosaic. Assessments are left out: they judge maps, and a map that had learned from them would flatter itself.

    Args:
        damage_map: The map.
        params: Strengths of the model.
        embedding: What the vectors are made of, if they have to be made.
        mapping: Threshold for review, and the picture's size.
        store: Where the map and the labels lie, and where the new map goes.
        sets: All label sets on storage, if they are known.

    Returns:
        The adapted map, which is made once for the same labels; or the given one, if no label says anything about it.
        And what was strange about the labels, one line each.

    Raises:
        SiameseError: The map's vectors cannot be had, or an object is missing or damaged.
    """
    kept = in_order(about(damage_map, LabelSet.every(store) if sets is None else sets), damage_map, store)
    if not kept:
        return damage_map, ()
    if not sum(root_of(damage_map, store).counts.values()):
        told = "1 label set is" if len(kept) == 1 else f"{len(kept)} label sets are"
        return damage_map, (f"the map has no buildings, so {told} not used",)
    lineage = trace(damage_map, store)
    placed = [(one, place_labels(one, lineage.buildings, store, event=damage_map.event)) for one in kept]
    notes = tuple(note for one, found in placed for note in left_out(one, found))
    used = tuple(one for one, found in placed if found.labels)
    lineage = replace(lineage, labels=latest(found.labels for _, found in placed), sets=used)
    if not (lineage.known or lineage.absent):
        return damage_map, notes
    vectors = vectors_of(lineage, embedding, store) if lineage.known else None
    return _learn(lineage, vectors, notes, params, mapping, store), notes


def _learn(
    lineage: Lineage,
    vectors: npt.NDArray[np.float32] | None,
    notes: tuple[str, ...],
    params: AdaptationParams,
    mapping: PublishParams,
    store: ObjectStore,
) -> DamageMap:
    """Decides the buildings of a map from its labels and publishes the map; vectors are None if no label is a class."""
    known = lineage.known
    notes += (*_one_class(known), *_taken_out(lineage), *_skipped(lineage.labels))
    classes = {place: DAMAGE_CLASSES.index(one.damage_class) for place, one in known.items()}
    along = None if vectors is None else directions_of(vectors, params)
    if along is not None:
        notes += contradictions(along, classes, lineage.buildings.ids)
    for note in notes:
        LOGGER.warning(note)
    found = _decided(lineage, along, classes, params, store)
    return _published(lineage, found, len(known) + len(lineage.absent), notes, mapping, store)


def _decided(
    lineage: Lineage,
    along: npt.NDArray[np.float64] | None,
    labels: Mapping[int, int],
    params: AdaptationParams,
    store: ObjectStore,
) -> BuildingSet:
    """Returns the buildings with new classes and probabilities, without those that are none."""
    parts = map_parts(lineage.root, store)
    buildings = lineage.buildings
    # Labels are named by the buildings and classes, so the order in which they came does not matter.
    given = [f"{buildings.ids[place]}:{number}" for place, number in sorted(labels.items())]
    given += [f"{buildings.ids[place]}:{NO_BUILDING}" for place in sorted(lineage.absent)]
    told = _hash(" ".join(given).encode())
    origin = ADAPTED.plan(
        inputs={"buildings": parts.buildings, "labels": told, "vectors": "" if along is None else _fingerprint(along)},
        params={"adaptation": params},
    )
    if found := ADAPTED.find(store, origin):
        return found
    with workplace(store) as folder, progress("decide buildings", 2) as advance:
        if along is None:
            classes, probabilities, told = buildings.classes, buildings.probabilities, "no label is a damage class"
        else:
            classes, probabilities, told = _learned(buildings, along, labels, params)
        advance(note=told)
        source = folder / "before.tif"
        table = folder / "before.parquet"
        store.download(S3Uri.parse(parts.buildings.classes.uri), source)
        store.download(S3Uri.parse(parts.buildings.table.uri), table)
        made = write_decided(buildings, classes, probabilities, source, table, folder, absent=lineage.absent)
        advance(note="files")
        target = BuildingSet.folder(store, origin.digest)
        return BuildingSet(
            origin=origin,
            prediction=parts.prediction.digest,
            classes=put_file(store, target, "classes.tif", made.classes),
            table=put_file(store, target, "buildings.parquet", made.table),
            counts=made.counts,
            unknown_share=made.unknown_share,
            # Labels change classes, not what can be seen.
            reasons=parts.buildings.reasons,
            reason_shares=parts.buildings.reason_shares,
            footprints=parts.buildings.footprints,
            shifts=parts.buildings.shifts,
        ).publish(store)


def _learned(
    buildings: MapBuildings, along: npt.NDArray[np.float64], labels: Mapping[int, int], params: AdaptationParams
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], str]:
    """Returns the class and the probabilities of each building, and a line about how they were learned."""
    # Buildings that touch unseen ground have features of it: they neither teach nor are decided, unless labelled.
    known = buildings.known | np.isin(np.arange(len(buildings)), list(labels))
    places = np.flatnonzero(known)
    renumbered = {int(place): number for number, place in enumerate(places)}
    adapted = adapt_along(
        along[places],
        buildings.probabilities[places],
        {renumbered[place]: number for place, number in labels.items()},
        params,
    )
    probabilities = buildings.probabilities.copy()
    probabilities[places] = adapted.probabilities
    classes = np.full(len(buildings), len(DAMAGE_CLASSES), np.int64)
    classes[places] = decide_classes(adapted.probabilities, params)
    return classes, probabilities, f"{len(labels)} labels, strength {adapted.strength:g}"


def _published(
    lineage: Lineage,
    found: BuildingSet,
    count: int,
    notes: Sequence[str],
    params: PublishParams,
    store: ObjectStore,
) -> DamageMap:
    root = lineage.root
    prediction = Prediction.load(store, str(root.prediction))
    with map_images(root, store) as (found_images, warnings):
        subject = MapSubject(
            event=root.event,
            model=f"{root.model}, adapted to {count} label{'s' * (count != 1)}",
            pre=root.pre,
            post=root.post,
            dates=root.taken,
            parent=lineage.map.digest,
            labels=tuple(one.digest for one in lineage.sets),
            warnings=(*notes, *warnings),
        )
        identities = {name: root.origin.inputs.get(name, "") for name in ("pre", "post", "place")}
        return publish_about(subject, prediction, found, params, store, lambda: found_images, identities)


def _fingerprint(along: npt.NDArray[np.float64]) -> str:
    """Returns a hash of vectors; rounded, since libraries differ in the last digits."""
    return _hash(np.ascontiguousarray(along.astype(np.float32).round(3)).tobytes())


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _changed_minds(lineage: Lineage, given: Sequence[Label]) -> tuple[str, ...]:
    before = lineage.labels
    changed = [
        f"{lineage.buildings.ids[one.place]} ({before[one.place].damage_class}, now {one.damage_class})"
        for one in given
        if one.place in before and before[one.place].damage_class != one.damage_class
    ]
    if not changed:
        return ()
    more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
    return (f"labels contradict earlier ones, which they replace: {', '.join(changed[:5])}{more}",)


def _one_class(known: Mapping[int, Label]) -> tuple[str, ...]:
    classes = {one.damage_class for one in known.values()}
    if len(classes) != 1:
        return ()
    return (f"all {len(known)} labels are {classes.pop()}: label other classes too, so that they can be told apart",)


def _taken_out(lineage: Lineage) -> tuple[str, ...]:
    absent = sorted(lineage.absent)
    if not absent:
        return ()
    were = "1 building was" if len(absent) == 1 else f"{len(absent)} buildings were"
    ids = named(lineage.buildings.ids[place] for place in absent)
    return (f"{were} taken out of the map by labels that say {NO_BUILDING}: {ids}",)


def _skipped(merged: Mapping[int, Label]) -> tuple[str, ...]:
    count = sum(one.damage_class == UNCLEAR for one in merged.values())
    if not count:
        return ()
    are, them = ("1 building is", "it") if count == 1 else (f"{count} buildings are", "them")
    return (f"{are} labelled {UNCLEAR}: nothing is learned from {them}",)
