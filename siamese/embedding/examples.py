"""Examples of a class that nobody trained, named by a person; and the map's table with a score for each building."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from siamese.embedding.outlines import fetch
from siamese.embedding.tagging import score_like
from siamese.embedding.vectors import Vectors
from siamese.errors import SiameseError
from siamese.manifests import DamageMap
from siamese.mapping.workplace import workplace
from siamese.progress import LOGGER
from siamese.store import ObjectStore
from siamese.tables import csv_rows

_YES: Final = {"", "1", "1.0", "true", "yes", "y", "positive", "+"}
_NO: Final = {"0", "0.0", "false", "no", "n", "negative", "-"}
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,40}")


@dataclass(frozen=True)
class Example:
    """A building that a person named."""

    id: str | None
    """Of the building; None where it was marked by a place."""
    place: Any = None
    """Point or polygon in the map's coordinates, for one without an id."""
    positive: bool = True


@dataclass(frozen=True)
class Tagged:
    """Scores of a map's buildings."""

    name: str
    ids: tuple[str, ...]
    scores: Any
    """``(n,)`` float32 in 0..1."""
    positives: int
    negatives: int

    def best(self, count: int) -> list[tuple[str, float]]:
        """Returns the buildings with the highest scores."""
        order = np.argsort(-self.scores, kind="stable")[:count]
        return [(self.ids[row], float(self.scores[row])) for row in order]


def read_examples(path: Path) -> tuple[Example, ...]:
    """Reads examples from a file.

    A CSV has the column ``id`` and, for counter-examples, ``label`` (1 or 0, yes or no). A GeoJSON has buildings by
    their id, or points and polygons on them, and the same label among the properties.

    Raises:
        SiameseError: The file is missing, neither CSV nor GeoJSON, or says something else.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SiameseError("cannot be read", where=str(path), fix="give a CSV or GeoJSON file") from error
    found = _from_geojson(text, path) if text.lstrip().startswith("{") else _from_csv(text, path)
    if not found:
        raise SiameseError("names no building", where=str(path), fix="give at least one id, point or polygon")
    return found


def tag_buildings(
    made: DamageMap, vectors: Vectors, examples: Sequence[Example], name: str, store: ObjectStore
) -> Tagged:
    """Scores every building of a map by how much it is like the examples.

    Args:
        made: The map.
        vectors: Of its buildings.
        examples: Some buildings that show the class, and maybe some that do not.
        name: Of the class.
        store: Holds the map.

    Raises:
        SiameseError: An example is no building of the map, the map has none, or the name fits no column.
    """
    if not _NAME.fullmatch(name):
        fix = "use a letter, then letters, digits and underscores, e.g. tarpaulin"
        raise SiameseError("does not fit a column", where=f"--name {name!r}", fix=fix)
    if not len(vectors):
        raise SiameseError("has no buildings to score", where=f"map {made.digest}", fix="map another place")
    rows = _rows(made, vectors, examples, store)
    positive = [row for row, one in zip(rows, examples, strict=True) if one.positive]
    negative = [row for row, one in zip(rows, examples, strict=True) if not one.positive]
    scores = score_like(vectors.values, positive, negative)
    return Tagged(name, vectors.ids, scores, len(set(positive)), len(set(negative)))


def write_tagged(made: DamageMap, tagged: Tagged, path: Path, store: ObjectStore) -> None:
    """Writes the map's GeoParquet with one more column, the score.

    Raises:
        SiameseError: The map has a column of that name.
    """
    with workplace(store) as folder, pq.ParquetFile(fetch(made.buildings, folder / "b.parquet", store)) as table:
        schema = table.schema_arrow
        if tagged.name in schema.names:
            fix = f"choose another --name, e.g. {tagged.name}_like"
            raise SiameseError("is a column of the map already", where=f"--name {tagged.name}", fix=fix)
        path.parent.mkdir(parents=True, exist_ok=True)
        wider = schema.insert(schema.names.index("geometry"), pa.field(tagged.name, pa.float32()))
        # The file names its geometry's CRS beside the schema of Arrow, not in it.
        wider = wider.with_metadata({b"geo": (table.metadata.metadata or {})[b"geo"]})
        start = 0
        with pq.ParquetWriter(path, wider, compression="zstd") as writer:
            for batch in table.iter_batches(use_threads=False):
                score = pa.array(tagged.scores[start : start + len(batch)], pa.float32())
                columns = {one: batch[one] for one in schema.names} | {tagged.name: score}
                writer.write_batch(pa.RecordBatch.from_arrays([columns[one] for one in wider.names], schema=wider))
                start += len(batch)


def _rows(made: DamageMap, vectors: Vectors, examples: Sequence[Example], store: ObjectStore) -> list[int]:
    positions = {name: row for row, name in enumerate(vectors.ids)}
    places = [one for one in examples if one.id is None]
    tree = None
    if places:
        with workplace(store) as folder:
            table = pq.read_table(fetch(made.buildings, folder / "b.parquet", store), columns=["geometry"])
        tree = shapely.STRtree(shapely.from_wkb(table["geometry"].to_pylist()))
    rows = []
    for one in examples:
        if one.id is not None:
            if one.id not in positions:
                fix = f"its ids look like {vectors.ids[0]!r}"
                raise SiameseError(f"has no building {one.id!r}", where=f"map {made.digest} ({made.event})", fix=fix)
            rows.append(positions[one.id])
            continue
        assert tree is not None  # noqa: S101
        spot = shapely.point_on_surface(one.place)
        hits = tree.query(spot, predicate="intersects")
        if not len(hits):
            fix = "put the mark on a building; coordinates as in the map's GeoJSON"
            raise SiameseError(f"no building lies at {spot.x:.6f}, {spot.y:.6f}", where=f"map {made.event}", fix=fix)
        rows.append(int(hits[0]))
    if (twice := len(rows) - len(set(rows))) > 0:
        LOGGER.warning(f"examples: {twice} name a building again")
    return rows


def _from_csv(text: str, path: Path) -> tuple[Example, ...]:
    columns, rows = csv_rows(text, str(path))
    if "id" not in columns:
        raise SiameseError("has no column id", where=str(path), fix="write `id` or `id,label` into its first line")
    return tuple(
        Example(name, positive=_label(row.get("label"), f"{path}: line {number}"))
        for number, row in enumerate(rows, start=2)
        if (name := (row["id"] or "").strip())
    )


def _from_geojson(text: str, path: Path) -> tuple[Example, ...]:
    try:
        features = json.loads(text)["features"]
        found = []
        for number, feature in enumerate(features, start=1):
            properties = feature.get("properties") or {}
            positive = _label(properties.get("label"), f"{path}: feature {number}")
            name = feature.get("id", properties.get("id"))
            place = None if name is not None else shapely.from_geojson(json.dumps(feature["geometry"]))
            if place is not None and (place.is_empty or not np.isfinite(shapely.get_coordinates(place)).all()):
                raise ValueError(f"feature {number} has no usable geometry")
            found.append(Example(None if name is None else str(name), place, positive))
    except (
        ValueError, KeyError, TypeError, AttributeError, RecursionError, shapely.errors.GEOSException
    ) as error:  # fmt: skip
        fix = "give a FeatureCollection of buildings, or points on them"
        raise SiameseError(f"is no GeoJSON of examples: {error}", where=str(path), fix=fix) from error
    return tuple(found)


def _label(value: object, where: str) -> bool:
    text = "" if value is None else str(int(value) if isinstance(value, bool) else value).strip().lower()
    if text in _YES:
        return True
    if text in _NO:
        return False
    raise SiameseError(f"label is {text!r}", where=where, fix="write 1 for an example, 0 for a counter-example")
