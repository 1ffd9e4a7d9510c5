"""Writes the data of a page: buildings, imagery, and what labels are learned with, as files that a browser reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from siamese.adaptation.buildings import MapBuildings
from siamese.adaptation.estimate import random_order
from siamese.classes import DAMAGE_CLASSES
from siamese.mapping.buildings import CLASSES
from siamese.mapping.grid import Grid
from siamese.mapping.task import Images
from siamese.params import AdaptationParams
from siamese.progress import progress
from siamese.viewing.columns import write_columns
from siamese.viewing.folders import ABOUT_FILE
from siamese.viewing.imagery import centre_of, pyramid_of, write_date
from siamese.viewing.outlines import UNIT, flat_outlines

FORMAT: Final = 1
"""Raised when a page can no longer read folders of an earlier one."""
_DAMAGE: Final = tuple(f"probability_{name}" for name in DAMAGE_CLASSES)
COLUMNS: Final = ("confidence", "review", "probability_building", "area_m2", "area_px", *_DAMAGE)
"""Columns of a map's published buildings that a page needs."""
OPTIONAL: Final = ("unknown_share", "reasons", "footprint_id")
"""Columns that maps of some versions lack."""
_BITS: Final = 16


@dataclass(frozen=True)
class Teaching:
    """What labels are learned and judged with, beside vectors."""

    buildings: MapBuildings
    """Of the map that the network made, without those that labels took out of the map since."""
    key: str
    """Of the random order in which buildings are assessed: the hash of that map's buildings."""
    labels: Mapping[int, str]
    """Classes that people gave before, by position."""
    current: npt.NDArray[np.float64] | None = None
    """``(n, 4)`` probabilities as the map has them since those labels; None: as the network gave them."""


def write_about(folder: Path, about: Mapping[str, Any], adaptation: AdaptationParams, parts: Mapping[str, Any]) -> None:
    """Writes ``map.json``: the map's description, and how its other files are read."""
    whole = {"format": FORMAT, "classes": CLASSES, **about, "adaptation": adaptation.model_dump(mode="json"), **parts}
    (folder / ABOUT_FILE).write_text(json.dumps(whole, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def write_buildings(folder: Path, buildings: MapBuildings, table: pa.Table) -> dict[str, Any]:
    """Writes ``buildings.bin`` and ``texts.json``.

    Args:
        folder: Of the page.
        buildings: Of the map.
        table: The map's published buildings, columns ``COLUMNS`` and such of ``OPTIONAL`` as it has.

    Returns:
        How they are read, for ``map.json``.
    """
    pixels = buildings.grid.crs is None
    pyramid = pyramid_of(buildings.grid)
    origin = ((pyramid.left + pyramid.right) / 2, (pyramid.top + pyramid.bottom) / 2)
    names, bits = _reasons(table)
    columns: dict[str, npt.NDArray[Any]] = {
        "class": buildings.classes.astype(np.uint8),
        "review": _numbers(table["review"], 1).astype(np.uint8),
        "confidence": _numbers(table["confidence"]),
        "building": _numbers(table["probability_building"]),
        "area": _numbers(table["area_px" if pixels else "area_m2"]),
        "probabilities": np.column_stack([_numbers(table[name]) for name in _DAMAGE]),
        "reasons": bits,
        **({"unknownShare": _numbers(table["unknown_share"])} if "unknown_share" in table.column_names else {}),
        **flat_outlines(buildings.geometry, pixels=pixels, centre_lng=centre_of(buildings.grid), origin=origin),
    }
    texts: dict[str, Any] = {"ids": list(buildings.ids)}
    if "footprint_id" in table.column_names:
        texts["footprints"] = [None if one is None else str(one) for one in table["footprint_id"].to_pylist()]
    (folder / "texts.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
    return {
        "count": len(buildings),
        "pixels": pixels,
        "pixel_m2": buildings.grid.pixel_m2(),
        "origin": origin,
        "unit": UNIT,
        "box": [pyramid.left, pyramid.top, pyramid.right, pyramid.bottom],
        "columns": write_columns(folder / "buildings.bin", columns),
        "reasons": names,
    }


def write_dates(folder: Path, grid: Grid, dates: Mapping[str, Images], name: str) -> dict[str, Any]:
    """Writes the raster tiles of each date, both at once.

    Args:
        folder: Of the page.
        grid: Pixels of the map.
        dates: Images by date, ``pre`` and ``post``.
        name: Of the map, for the archives' metadata.
    """
    pyramid = pyramid_of(grid)
    finest = sum(1 for _ in pyramid.tiles(pyramid.finest))
    with progress("imagery", len(dates) * finest) as advance, ThreadPoolExecutor(len(dates)) as pool:
        jobs = {
            date: pool.submit(
                write_date, folder / f"{date}.pmtiles", grid, images, {"name": f"{name} {date}"}, lambda: advance()
            )
            for date, images in dates.items()
        }
        counts = {date: job.result() for date, job in jobs.items()}
    there = {date: f"{date}.pmtiles" for date, count in counts.items() if count}
    return {**there, "coarsest": pyramid.coarsest, "finest": pyramid.finest}


def write_teaching(
    folder: Path, teaching: Teaching, along: npt.NDArray[np.float64] | None = None, *, why: str = ""
) -> dict[str, Any]:
    """Writes ``teach.bin``.

    Args:
        folder: Of the page.
        teaching: Buildings and earlier labels.
        along: ``(n, k)`` vectors along their main directions (:func:`siamese.adaptation.model.directions_of`).
        why: Why there are none.
    """
    buildings = teaching.buildings
    columns: dict[str, npt.NDArray[Any]] = {
        "order": random_order(buildings.ids, teaching.key),
        "position": buildings.positions,
        "prior": buildings.probabilities,
        "rootClass": buildings.classes.astype(np.uint8),
    }
    if teaching.current is not None:
        columns["current"] = teaching.current
    found: dict[str, Any] = {"labels": {str(place): name for place, name in teaching.labels.items()}}
    if along is None:
        found |= absent(why)
    else:
        # In full, so that the browser computes with the very numbers that `siamese adapt` has.
        columns["along"] = along
        found["dimension"] = along.shape[1]
    return {**found, "columns": write_columns(folder / "teach.bin", columns)}


def absent(reason: str) -> dict[str, Any]:
    """Returns what ``map.json`` has in place of a part that the page lacks."""
    return {"absent": reason}


def _numbers(column: pa.ChunkedArray, missing: float = np.nan) -> npt.NDArray[np.float32]:
    filled = column.cast(pa.float32()).fill_null(missing)
    return np.asarray(filled.to_numpy(), np.float32)


def _reasons(table: pa.Table) -> tuple[list[str], npt.NDArray[np.uint16]]:
    """Returns the names of reasons, and a bit for each of them and building; of more than 16 the last share a bit."""
    bits = np.zeros(table.num_rows, np.uint16)
    if "reasons" not in table.column_names:
        return [], bits
    given = [_split(one) for one in table["reasons"].to_pylist()]
    names = sorted({name for one in given for name in one})
    for place, one in enumerate(given):
        for name in one:
            bits[place] |= np.uint16(1 << min(_BITS - 1, names.index(name)))
    return names, bits


def _split(value: object) -> list[str]:
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return [str(name) for name in value] if isinstance(value, list | tuple) else []
