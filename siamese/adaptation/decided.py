"""Writes buildings that were decided anew: their table, and the class of every pixel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from siamese.adaptation.buildings import MapBuildings
from siamese.adaptation.recolour import recolour
from siamese.classes import BACKGROUND, UNCLASSIFIED
from siamese.mapping.buildings import CLASSES, read_buildings, write_buildings
from siamese.mapping.decide import DecidedMap


def write_decided(
    buildings: MapBuildings,
    classes: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    raster: Path,
    table: Path,
    folder: Path,
    *,
    absent: Collection[int] = (),
) -> DecidedMap:
    """Writes the class raster and the table of a map with new classes and probabilities.

    Args:
        buildings: The buildings of the map.
        classes: ``(n,)`` position in :data:`siamese.mapping.buildings.CLASSES`, unknown the last.
        probabilities: ``(n, 4)`` of the damage classes.
        raster: The class raster as it was.
        table: The table as it was.
        folder: Folder for the files.
        absent: Positions of buildings that are none: they are neither counted nor written.
    """
    values = np.append(np.arange(1, len(CLASSES)), UNCLASSIFIED).astype(np.uint8)[classes]
    values[list(absent)] = BACKGROUND
    there = np.isin(np.arange(len(classes)), list(absent), invert=True)
    made, rows = folder / "classes.tif", folder / "buildings-decided.parquet"
    unknown = recolour(raster, made, buildings.grid, buildings.outlines, values)
    changed = (
        replace(one, damage_class=CLASSES[number], damage=tuple(map(float, found)))
        for one, number, found, stands in zip(read_buildings(table), classes, probabilities, there, strict=True)
        if stands
    )
    write_buildings(rows, changed)
    counts = Counter(CLASSES[number] for number in classes[there])
    pixels = buildings.grid.width * buildings.grid.height
    return DecidedMap(made, rows, {name: counts[name] for name in CLASSES}, unknown / pixels)
