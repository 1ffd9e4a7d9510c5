"""Summaries of a map: numbers of buildings by class, for the whole map and for each area, with intervals."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h3
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS

from siamese.classes import DAMAGE_CLASSES
from siamese.geo.globe import WGS84, cut_at_antimeridian
from siamese.manifests import Interval
from siamese.products.known_error import DAMAGED, ROWS, KnownError, estimate_by_probabilities

_ROWS: Final = 8192
_AREA_DRAWS: Final = 300
OUTSIDE: Final = "(in no area)"
_MAPPED: Final = (*DAMAGE_CLASSES, "unknown")
_DIGITS: Final = 3
_NAME: Final = "area_name"
"""Column that names areas: `area` means something else to geopandas."""


@dataclass(frozen=True, eq=False)
class Areas:
    """Areas that buildings are counted in.

    Attributes:
        ids: ``(n,)`` their names.
        polygons: ``(n,)`` polygons in degrees.
    """

    ids: tuple[str, ...]
    polygons: npt.NDArray[Any]


@dataclass(frozen=True)
class AreaSummary:
    """The buildings of one area, or of the whole map."""

    area: str
    mapped: dict[str, int]
    """Buildings by class, unknown ones last."""
    review: int
    """Buildings that a person should look at."""
    estimates: dict[str, Interval]
    """True numbers of the damage classes and of damaged buildings; unknown buildings are in none."""

    @property
    def buildings(self) -> int:
        """All of them."""
        return sum(self.mapped.values())

    @property
    def damaged_share(self) -> float:
        """Share of the buildings of known class that are mapped as damaged; 0 where there are none."""
        known = sum(self.mapped[name] for name in DAMAGE_CLASSES)
        return sum(self.mapped[name] for name in DAMAGE_CLASSES[1:]) / known if known else 0.0


@dataclass(frozen=True)
class Summary:
    """What a map counts."""

    whole: AreaSummary
    areas: tuple[AreaSummary, ...]
    """The most damaged first; those without buildings last."""
    polygons: dict[str, shapely.Geometry]
    """Of each area, in degrees; none of :data:`OUTSIDE`."""
    basis: str
    """Where the intervals come from, for people."""
    evaluated: bool
    """Whether they rest on an evaluation, and not on the model's own probabilities."""
    cells: str = ""
    """What the areas are, for people; empty if somebody gave them, as their names then say it."""


def summarise(
    buildings: Path, *, placed: bool, known: KnownError | None, areas: Areas | None = None, h3_resolution: int = 9
) -> Summary:
    """Counts the buildings of a map.

    Args:
        buildings: The map's GeoParquet, read a batch at a time.
        placed: Whether coordinates are degrees.
        known: Errors that the model is known to make; None: intervals rest on its own probabilities.
        areas: Areas to count in; by default the H3 cells that have buildings. A building counts in every area that
            holds a point inside it.
        h3_resolution: Of the cells; 9 is about 0.1 km², 8 about 0.7 km².
    """
    counter = _Counter(areas, h3_resolution, placed=placed)
    with pq.ParquetFile(buildings) as file:
        names = ["damage_class", "review", *(f"probability_{name}" for name in DAMAGE_CLASSES), "geometry"]
        for batch in file.iter_batches(_ROWS, columns=names, use_threads=False):
            counter.add(batch)
    rows = counter.rows()
    mapped = np.array([[row.mapped[name] for name in DAMAGE_CLASSES] for row in rows], np.int64)
    if known is not None:
        estimates = known.estimate(mapped[:1]) + known.estimate(mapped[1:], draws=_AREA_DRAWS)
        basis = f"errors of the model on {known.source}"
    else:
        sums = np.array([row.sums for row in rows])
        estimates = estimate_by_probabilities(sums[:, 0], sums[:, 1])
        basis = "the model's own probabilities: its errors were not measured on labelled buildings"
    made = [AreaSummary(row.area, dict(row.mapped), row.review, one) for row, one in zip(rows, estimates, strict=True)]
    ranked = sorted(made[1:], key=lambda row: (-_damaged(row), -row.buildings, row.area))
    cells = ""
    if placed and areas is None:
        size = h3.average_hexagon_area(h3_resolution, unit="km^2")
        cells = f"Areas are H3 cells of resolution {h3_resolution}, about {size:.2g} km² each, by their index."
    return Summary(made[0], tuple(ranked), counter.polygons(), basis, known is not None, cells)


def _damaged(row: AreaSummary) -> int:
    return sum(row.mapped[name] for name in DAMAGE_CLASSES[1:])


class _Row:
    """Counts of one area."""

    def __init__(self, area: str) -> None:
        self.area = area
        self.mapped = dict.fromkeys(_MAPPED, 0)
        self.review = 0
        self.sums = np.zeros((2, len(ROWS)))
        """Sums of p, and of p (1 - p), of each class and of any damage."""

    def add(self, number: int, *, review: bool, probabilities: npt.NDArray[np.float64]) -> None:
        self.mapped[_MAPPED[number]] += 1
        self.review += review
        if number < len(DAMAGE_CLASSES):
            p = np.append(probabilities, probabilities[1:].sum())
            self.sums += np.stack([p, p * (1 - p)])


class _Counter:
    """Counts buildings by area, batch by batch."""

    def __init__(self, areas: Areas | None, resolution: int, *, placed: bool) -> None:
        self._areas, self._resolution, self._placed = areas, resolution, placed
        self._whole = _Row("")
        self._rows: dict[str, _Row] = {}
        self._outside = _Row(OUTSIDE)
        self._tree = shapely.STRtree(areas.polygons) if areas is not None else None
        if areas is not None:
            self._rows = {name: _Row(name) for name in areas.ids}

    def add(self, batch: pa.RecordBatch) -> None:
        classes = [_MAPPED.index(name) for name in batch["damage_class"].to_pylist()]
        review = batch["review"].to_pylist()
        columns = [batch[f"probability_{name}"].to_numpy(zero_copy_only=False) for name in DAMAGE_CLASSES]
        probabilities = np.nan_to_num(np.column_stack(columns).astype(np.float64))
        places = self._places(batch["geometry"]) if self._placed else [()] * len(classes)
        for number, (kind, flag, here) in enumerate(zip(classes, review, places, strict=True)):
            rows = [self._whole, *(self._row(name) for name in here)]
            if self._placed and not here:
                rows.append(self._outside)
            for row in rows:
                row.add(kind, review=flag, probabilities=probabilities[number])

    def _row(self, name: str) -> _Row:
        return self._rows.setdefault(name, _Row(name))

    def _places(self, wkb: pa.Array) -> list[tuple[str, ...]]:
        """Returns the areas of each building, by a point inside it."""
        points = shapely.point_on_surface(shapely.from_wkb(wkb.to_pylist()))
        if self._areas is None or self._tree is None:
            lng, lat = shapely.get_x(points), shapely.get_y(points)
            return [(h3.latlng_to_cell(y, x, self._resolution),) for x, y in zip(lng, lat, strict=True)]
        found: list[list[str]] = [[] for _ in points]
        for building, area in zip(*self._tree.query(points, predicate="intersects"), strict=True):
            found[building].append(self._areas.ids[area])
        return [tuple(one) for one in found]

    def rows(self) -> list[_Row]:
        """Returns the whole map's, then one an area, then that of buildings in none if there are any."""
        outside = [self._outside] if sum(self._outside.mapped.values()) else []
        return [self._whole, *self._rows.values(), *outside]

    def polygons(self) -> dict[str, shapely.Geometry]:
        """Returns the polygon of each area."""
        if self._areas is not None:
            return dict(zip(self._areas.ids, self._areas.polygons, strict=True))
        rings = {name: [(lng, lat) for lat, lng in h3.cell_to_boundary(name)] for name in self._rows}
        cells = np.array([shapely.Polygon(ring) for ring in rings.values()], object)
        return dict(zip(rings, cut_at_antimeridian(cells), strict=True)) if rings else {}


def summary_csv(rows: Iterable[AreaSummary], *, area: bool) -> str:
    """Returns rows as CSV: of the whole map one line a class, of areas one line an area."""
    out = io.StringIO()
    if area:
        table = [_flat(row) for row in rows]
        names = list(table[0]) if table else [_NAME]
        writer = csv.DictWriter(out, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in table)
        return out.getvalue()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(["class", "mapped", "estimate", "low", "high"])
    for row in rows:
        mapped = row.mapped | {DAMAGED: _damaged(row)}
        for name in (*ROWS, "unknown"):
            one = row.estimates.get(name)
            told = [f"{value:.1f}" for value in (one.estimate, one.low, one.high)] if one else ["", "", ""]
            lines.writerow([name, mapped[name], *told])
    return out.getvalue()


def write_areas(summary: Summary, target: Path) -> None:
    """Writes the summary by area as GeoParquet, one row an area."""
    rows = [_flat(row) for row in summary.areas]
    fields: list[pa.Field] = [pa.field(_NAME, pa.string(), nullable=False)]
    if rows:
        kinds = {int: pa.int64(), float: pa.float64()}
        fields += [pa.field(name, kinds[type(value)]) for name, value in rows[0].items() if name != _NAME]
    schema = pa.schema([*fields, pa.field("geometry", pa.binary())])
    shapes = [summary.polygons.get(row.area) for row in summary.areas]
    oriented = [shapely.orient_polygons(one) if one is not None else None for one in shapes]
    table = pa.Table.from_pylist(
        [
            row | {"geometry": None if one is None else shapely.to_wkb(one)}
            for row, one in zip(rows, oriented, strict=True)
        ],
        schema=schema,
    )
    kinds_of_shape = sorted({type(one).__name__ for one in oriented if one is not None})
    column = {
        "encoding": "WKB",
        "geometry_types": kinds_of_shape,
        "orientation": "counterclockwise",
        "crs": CRS.from_user_input(WGS84).to_json_dict(),
    }
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), target, compression="zstd")


def _flat(row: AreaSummary) -> dict[str, Any]:
    flat: dict[str, Any] = {_NAME: row.area, "buildings": row.buildings, **row.mapped}
    flat |= {DAMAGED: _damaged(row), "damaged_share": row.damaged_share, "review": row.review}
    for name, one in row.estimates.items():
        flat |= {f"{name}_estimate": one.estimate, f"{name}_low": one.low, f"{name}_high": one.high}
    return flat


def _cell(value: object) -> object:
    return f"{value:.{_DIGITS}f}" if isinstance(value, float) else _harmless(value)


def _harmless(value: object) -> object:
    """Returns a text that a spreadsheet does not take for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def worst_areas(rows: Sequence[AreaSummary], count: int) -> list[AreaSummary]:
    """Returns the areas with most damaged buildings, at most ``count``; areas without damage are left out."""
    return [row for row in rows if _damaged(row)][:count]
