"""The tables of the search for twins: fingerprints in Parquet, pairs and groups in CSV."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from siamese.duplicates.fingerprint import Fingerprint
from siamese.duplicates.twins import TwinPair
from siamese.tables import csv_bytes, read_csv

_SCHEMA: Final = pa.schema(
    [
        ("sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("points", pa.binary()),
        ("descriptors", pa.binary()),
        ("thumbnail", pa.binary()),
    ]
)
"""One row an image: ``points`` are pairs of float32, ``descriptors`` rows of 128 bytes, ``thumbnail`` is a JPEG."""


def write_fingerprints(prints: Mapping[str, Fingerprint]) -> bytes:
    """Returns fingerprints by the sha256 of their image as Parquet."""
    rows = [
        (name, one.width, one.height, one.points.astype("<f4").tobytes(), one.descriptors.tobytes(), one.thumbnail)
        for name, one in prints.items()
    ]
    columns = zip(*rows, strict=True) if rows else ([] for _ in _SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(arrays, schema=_SCHEMA), sink, compression="zstd", store_schema=False)
    return bytes(sink.getvalue().to_pybytes())


def read_fingerprints(data: bytes) -> dict[str, Fingerprint]:
    """Reads what :func:`write_fingerprints` returns."""
    return {
        row["sha256"]: Fingerprint(
            row["width"],
            row["height"],
            np.frombuffer(row["points"], "<f4").reshape(-1, 2),
            np.frombuffer(row["descriptors"], np.uint8).reshape(-1, 128),
            row["thumbnail"],
        )
        for row in pq.read_table(pa.BufferReader(data), use_threads=False).to_pylist()
    }


_COLUMNS: Final = (
    *("one", "other", "one_scene", "other_scene", "one_date", "other_date", "kinds"),
    *("confidence", "alike", "fine", "overlap", "features", "transform", "one_sha256", "other_sha256"),
)


def write_pairs(pairs: Iterable[TwinPair]) -> bytes:
    """Returns pairs as CSV, one line each."""
    return csv_bytes(_COLUMNS, map(_row, pairs))


def read_pairs(data: bytes) -> tuple[TwinPair, ...]:
    """Reads what :func:`write_pairs` returns."""
    return tuple(_pair(row) for row in read_csv(data).to_dict("records"))


def write_groups(groups: Sequence[Sequence[str]]) -> bytes:
    """Returns groups as CSV for :func:`read_groups`: one line a scene, a group named after its first scene."""
    return csv_bytes(("scene", "group"), [(scene, group[0]) for group in groups for scene in group])


def read_groups(data: bytes) -> dict[str, str]:
    """Reads the group of each scene that has twins."""
    table = read_csv(data)
    return dict(zip(table["scene"], table["group"], strict=True))


def _row(pair: TwinPair) -> tuple[object, ...]:
    one, other = pair.one, pair.other
    names = (one.name, other.name, one.scene, other.scene, one.date, other.date, "; ".join(pair.kinds))
    numbers = (pair.confidence, pair.alike, pair.fine, pair.overlap, pair.features)
    return (*names, *numbers, json.dumps(pair.transform), one.sha256, other.sha256)


def _pair(row: Mapping[Any, Any]) -> TwinPair:
    names = {
        side: {"name": row[side]} | {key: row[f"{side}_{key}"] for key in ("scene", "date", "sha256")}
        for side in ("one", "other")
    }
    numbers = {key: row[key] for key in ("confidence", "alike", "fine", "overlap", "features")}
    listed = {"kinds": row["kinds"].split("; "), "transform": json.loads(row["transform"])}
    return TwinPair.model_validate({**names, **numbers, **listed})
