"""What an adapted map came from: the map that the network made, and the labels since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from siamese.adaptation.buildings import MapBuildings, read_map_buildings
from siamese.adaptation.labels import NO_BUILDING, Label
from siamese.adaptation.labelset import read_labels
from siamese.classes import DAMAGE_CLASSES
from siamese.embedding import embed_map, read_vectors
from siamese.embedding.references import find_source
from siamese.embedding.vectors import Floats
from siamese.errors import NotPublishedError, SiameseError
from siamese.manifests import Checkpoint, DamageMap, EmbeddingIndex, LabelSet
from siamese.params import EmbeddingParams
from siamese.store import ObjectStore

_NEW = "make it again: `siamese similarity embed`, or leave --index out"


def find_map(reference: str, store: ObjectStore) -> DamageMap:
    """Returns the map that a person named: by its event, digest, address, manifest file or a folder with its files.

    Of an event and a folder of one name the event is meant, as people name the folder of a map after its event.

    Raises:
        SiameseError: It names no map.
    """
    folder = Path(reference)
    if not reference.startswith("s3://") and folder.is_dir():
        try:
            return DamageMap.current(store, reference)
        except NotPublishedError:
            if (folder / "map.json").is_file():
                reference = str(folder / "map.json")
    found = find_source(reference, store)
    if not isinstance(found, DamageMap):
        fix = "name an event with a map, or a map's digest, address or manifest file"
        raise SiameseError("is no map", where=reference, fix=fix)
    return found


@dataclass(frozen=True)
class Lineage:
    """A map and all that it came from."""

    map: DamageMap
    """As it was asked for."""
    root: DamageMap
    """The map that the network made."""
    buildings: MapBuildings
    """Of the root, so with the network's probabilities."""
    sets: tuple[LabelSet, ...]
    """The label sets that the map was adapted with, oldest first."""
    labels: Mapping[int, Label]
    """By position of the building; of several labels of one building the newest."""

    @property
    def known(self) -> Mapping[int, Label]:
        """Those labels that are damage classes."""
        return {place: one for place, one in self.labels.items() if one.damage_class in DAMAGE_CLASSES}

    @property
    def absent(self) -> frozenset[int]:
        """Positions of buildings that are none, as labels say: the adapted map leaves them out."""
        return frozenset(place for place, one in self.labels.items() if one.damage_class == NO_BUILDING)

    def current(self, store: ObjectStore) -> MapBuildings:
        """Returns the buildings as the map has them now."""
        return self.buildings if self.map.digest == self.root.digest else read_map_buildings(self.map, store)

    def places_of(self, current: MapBuildings) -> npt.NDArray[np.int64]:
        """Returns the position in the root of each building that the map has now.

        An adapted map has the buildings of its root in their order, without those that labels took out.

        Args:
            current: The buildings as the map has them now.

        Raises:
            SiameseError: It has a building that its root lacks.
        """
        places: list[int] = []
        wanted = iter(current.ids)
        name = next(wanted, None)
        for place, one in enumerate(self.buildings.ids):
            if one == name:
                places.append(place)
                name = next(wanted, None)
        if name is not None:
            fix = "adapt the map that its network made again, from the same labels"
            raise SiameseError(
                f"has building {name}, which its root lacks", where=f"damage map {self.map.digest}", fix=fix
            )
        return np.array(places, np.int64)

    def labels_of(self, current: MapBuildings) -> dict[int, Label]:
        """Returns the labels by position in the map as it is now; of buildings that it lacks there are none."""
        return {
            number: replace(self.labels[place], place=number)
            for number, place in enumerate(self.places_of(current).tolist())
            if place in self.labels
        }


def root_of(damage_map: DamageMap, store: ObjectStore) -> DamageMap:
    """Goes back from a map to the one that the network made, without reading its buildings."""
    root = damage_map
    while root.parent is not None:
        root = DamageMap.load(store, root.parent)
    return root


def trace(damage_map: DamageMap, store: ObjectStore) -> Lineage:
    """Goes back from a map to the one that the network made.

    Raises:
        SiameseError: A manifest or object is missing or damaged, or the map has no building.
    """
    root = root_of(damage_map, store)
    buildings = read_map_buildings(root, store)
    if not len(buildings):
        fix = "there is nothing to label; map imagery that shows buildings"
        raise SiameseError("has no buildings", where=f"damage map {root.digest} ({root.event})", fix=fix)
    sets = tuple(LabelSet.load(store, digest) for digest in damage_map.labels)
    return Lineage(damage_map, root, buildings, sets, latest(read_labels(one, buildings, store) for one in sets))


def latest(sets: Iterable[Iterable[Label]]) -> dict[int, Label]:
    """Returns one label a building out of several sets, oldest first: the newest."""
    return {label.place: label for labels in sets for label in labels}


def vectors_of(
    lineage: Lineage, params: EmbeddingParams, store: ObjectStore, index: EmbeddingIndex | None = None
) -> Floats:
    """Returns the vector of each building of a map, made once by the map's own network.

    Args:
        lineage: The map.
        params: Which features.
        store: Where the map, its images and the index lie.
        index: An index to take instead.

    Raises:
        SiameseError: The index is of another map or made by another model, or the map's images are gone.
    """
    found = index or embed_map(lineage.root, params, store)
    check_index(found, lineage.root, store)
    vectors = read_vectors(found, store)
    if vectors.ids != lineage.buildings.ids:
        strange = sorted(set(vectors.ids) - set(lineage.buildings.ids))
        told = f"names {len(strange)} buildings that the map lacks" if strange else "lacks buildings of the map"
        raise SiameseError(told, where=f"index {found.digest}", fix=_NEW)
    if not np.isfinite(vectors.values).all():
        raise SiameseError("holds a NaN or infinity", where=f"index {found.digest}", fix=_NEW)
    return vectors.values


def check_index(index: EmbeddingIndex, root: DamageMap, store: ObjectStore) -> None:
    """Refuses an index of another map, or one whose damage network is not the map's.

    Raises:
        SiameseError: It is one of these.
    """
    if not index.source.startswith(f"{DamageMap.kind} "):
        raise SiameseError(f"is of {index.source}, not of a map", where=f"index {index.digest}", fix=_NEW)
    if index.encoder.startswith("checkpoint "):
        wanted = f"checkpoint {Checkpoint.load(store, root.checkpoint).content}"
        if index.encoder != wanted:
            what = f"was made by another model than the map: {index.encoder}, not {wanted}"
            raise SiameseError(what, where=f"index {index.digest}", fix=_NEW)
