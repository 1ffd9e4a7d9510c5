"""The buildings of a published map as arrays."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from siamese.classes import DAMAGE_CLASSES
from siamese.errors import SiameseError
from siamese.manifests import BuildingSet, DamageMap, Prediction
from siamese.mapping.decide import grid_of
from siamese.mapping.grid import Grid
from siamese.store import ObjectStore

Geometries = npt.NDArray[np.object_]

UNKNOWN = len(DAMAGE_CLASSES)
"""Class number of a building whose damage the map does not know."""


@dataclass(frozen=True)
class MapBuildings:
    """The buildings of a map, in its order.

    Attributes:
        ids: ``(n,)`` their ids.
        classes: ``(n,)`` int64: position in :data:`siamese.classes.DAMAGE_CLASSES`, or ``UNKNOWN``.
        probabilities: ``(n, 4)`` float64, calibrated probability of each damage class as the network gave it.
        geometry: ``(n,)`` outlines as published: degrees, or pixels where the imagery has no georeference.
        outlines: ``(n,)`` outlines in pixels of the grid.
        grid: Pixels of the map.
    """

    ids: tuple[str, ...]
    classes: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    geometry: Geometries
    outlines: Geometries
    grid: Grid

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Position of each building by its id."""
        return {name: place for place, name in enumerate(self.ids)}

    @cached_property
    def positions(self) -> npt.NDArray[np.float64]:
        """``(n, 2)`` middle of each building in metres from the map's corner; in pixels without georeference."""
        side = np.sqrt(self.grid.pixel_m2() or 1.0)
        return np.asarray(shapely.get_coordinates(shapely.centroid(self.outlines)).reshape(-1, 2) * side, np.float64)

    def take(self, places: npt.NDArray[np.int64]) -> MapBuildings:
        """Returns some of the buildings, by position."""
        return MapBuildings(
            ids=tuple(self.ids[place] for place in places),
            classes=self.classes[places],
            probabilities=self.probabilities[places],
            geometry=self.geometry[places],
            outlines=self.outlines[places],
            grid=self.grid,
        )

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """``(n,)`` whether the map gives the building a damage class."""
        return np.asarray(self.classes != UNKNOWN)


def read_map_buildings(damage_map: DamageMap, store: ObjectStore) -> MapBuildings:
    """Reads the buildings of a map.

    Raises:
        SiameseError: The map was made before maps were made in steps, or an object is missing or damaged.
    """
    if damage_map.prediction is None or damage_map.building_set is None:
        what = "was made by a version that kept neither probabilities nor outlines in pixels"
        raise SiameseError(what, where=f"damage map {damage_map.digest}", fix="map the images again")
    found = BuildingSet.load(store, damage_map.building_set)
    grid = grid_of(Prediction.load(store, damage_map.prediction))
    published = pq.read_table(io.BytesIO(damage_map.buildings.read(store)), columns=["id", "damage_class", "geometry"])
    table = pq.read_table(io.BytesIO(found.table.read(store)), columns=["damage", "outline"])
    if published.num_rows != table.num_rows:
        what = f"has {published.num_rows:,} buildings, its set {found.digest} {table.num_rows:,}"
        raise SiameseError(what, where=f"damage map {damage_map.digest}", fix="map the images again")
    numbers = {name: number for number, name in enumerate(DAMAGE_CLASSES)}
    return MapBuildings(
        ids=tuple(published["id"].to_pylist()),
        classes=np.array([numbers.get(name, UNKNOWN) for name in published["damage_class"].to_pylist()], np.int64),
        probabilities=_rows(table["damage"]),
        geometry=_geometries(published["geometry"]),
        outlines=_geometries(table["outline"]),
        grid=grid,
    )


def _rows(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float64).reshape(-1, len(DAMAGE_CLASSES))


def _geometries(column: pa.ChunkedArray) -> Geometries:
    found: Geometries = np.empty(len(column), object)
    found[:] = shapely.from_wkb(column.to_pylist())
    return found
