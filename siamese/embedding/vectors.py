"""Tables of vectors on the bucket: one row a vector, in Parquet, written and read in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from siamese.errors import SiameseError
from siamese.manifests import EmbeddingIndex
from siamese.store import ObjectStore, S3Uri, file_sha256

Floats = npt.NDArray[np.float32]

BATCH_ROWS: Final = 8192
_FIX = "make the index again: `siamese similarity embed`"


@dataclass(frozen=True, eq=False)
class Vectors:
    """The vectors of an index.

    Attributes:
        ids: Name of each vector; those of a map's buildings are in the order of the map's table.
        values: ``(n, d)`` float32, finite.
        columns: Further columns of the table by name, each with one value a vector.
    """

    ids: tuple[str, ...]
    values: Floats
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def position(self, name: str, where: str = "index") -> int:
        """Returns the position of an id.

        Raises:
            SiameseError: No vector has that id.
        """
        try:
            return self.ids.index(name)
        except ValueError:
            raise unknown_id(name, self.ids, where) from None


def unknown_id(name: str, ids: Sequence[str], where: str) -> SiameseError:
    """Returns the error for an id that no vector has."""
    fix = f"its ids look like {ids[0]!r}" if len(ids) else "it is empty"
    return SiameseError(f"has no vector with the id {name!r}", where=where, fix=fix)


def vector_schema(dimension: int, columns: Mapping[str, pa.DataType] | None = None, key: str = "id") -> pa.Schema:
    """Returns the schema of a table of vectors."""
    further = [pa.field(name, kind) for name, kind in (columns or {}).items()]
    vector = pa.field("vector", pa.list_(pa.float32(), dimension), nullable=False)
    return pa.schema([pa.field(key, pa.string(), nullable=False), *further, vector])


def vector_batch(
    schema: pa.Schema, ids: Sequence[str], values: Floats, columns: Mapping[str, Sequence[Any]] | None = None
) -> pa.RecordBatch:
    """Returns rows of a table of vectors.

    Args:
        schema: See :func:`vector_schema`.
        ids: Name of each vector.
        values: ``(n, d)`` float32.
        columns: Further columns.
    """
    flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
    given: dict[str, Any] = {
        schema.names[0]: ids,
        **(columns or {}),
        "vector": pa.FixedSizeListArray.from_arrays(flat, type=schema.field("vector").type),
    }
    arrays = [one if isinstance(one, pa.Array) else pa.array(one, schema.field(name).type) for name, one in
              ((name, given[name]) for name in schema.names)]  # fmt: skip
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def read_vectors(index: EmbeddingIndex, store: ObjectStore) -> Vectors:
    """Reads all vectors of an index into memory.

    Raises:
        SiameseError: The table is missing, differs from what was published, or is no table of this index.
    """
    ids: list[str] = []
    values = np.empty((index.count, index.dimension), np.float32)
    columns: dict[str, list[Any]] = {}
    for part in vector_batches(index, store):
        if len(ids) + len(part) > index.count:
            break
        values[len(ids) : len(ids) + len(part)] = part.values
        ids += part.ids
        for name, column in part.columns.items():
            columns.setdefault(name, []).extend(column)
    if len(ids) != index.count:
        raise _not_it(index, f"does not hold {index.count} vectors")
    return Vectors(tuple(ids), values, columns)


def vector_batches(index: EmbeddingIndex, store: ObjectStore, rows: int = BATCH_ROWS) -> Iterator[Vectors]:
    """Yields the vectors of an index in their order, some thousands at a time; memory does not grow with their number.

    Raises:
        SiameseError: As for :func:`read_vectors`.
    """
    store.settings.cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="vectors-", dir=store.settings.cache) as folder:
        path = Path(folder) / "vectors.parquet"
        store.download(S3Uri.parse(index.vectors.uri), path)
        if file_sha256(path) != index.vectors.sha256:
            raise _not_it(index, "is not what was published")
        yield from _batches(path, index, rows)


def _batches(path: Path, index: EmbeddingIndex, rows: int) -> Iterator[Vectors]:
    try:
        with pq.ParquetFile(path, memory_map=True) as table:
            wanted = pa.list_(pa.float32(), index.dimension)
            found = table.schema_arrow
            if not {"id", "vector"} <= set(found.names) or found.field("vector").type != wanted:
                raise _not_it(index, f"has no columns id and vector of {index.dimension} float32")
            for batch in table.iter_batches(rows, use_threads=False):
                yield _checked(batch, index)
    except (pa.ArrowException, OSError) as error:
        raise _not_it(index, f"is not Parquet: {error}") from error


def _checked(batch: pa.RecordBatch, index: EmbeddingIndex) -> Vectors:
    values = np.asarray(batch["vector"].flatten()).reshape(-1, index.dimension)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise _not_it(index, f"holds a NaN or infinity in the vector of {batch['id'][row].as_py()!r}")
    columns = {name: batch[name].to_pylist() for name in batch.schema.names if name not in ("id", "vector")}
    return Vectors(tuple(batch["id"].to_pylist()), values, columns)


def _not_it(index: EmbeddingIndex, what: str) -> SiameseError:
    return SiameseError(what, where=index.vectors.uri, fix=_FIX)


def vector_table(vectors: Vectors, dimension: int, key: str = "id") -> pa.Table:
    """Returns vectors as a table: their ids under ``key``, their further columns, and ``vector``."""
    further = {name: pa.array(list(column)) for name, column in vectors.columns.items()}
    kinds = {name: pa.string() if pa.types.is_null(one.type) else one.type for name, one in further.items()}
    schema = vector_schema(dimension, kinds, key)
    return pa.Table.from_batches([vector_batch(schema, vectors.ids, vectors.values, dict(vectors.columns))])


@dataclass(frozen=True, eq=False)
class Rows:
    """Some vectors and what is known about each."""

    ids: list[str]
    values: Floats
    columns: dict[str, list[Any]] = field(default_factory=dict)


def write_rows(
    path: Path,
    rows: Iterator[Rows],
    dimension: int,
    *,
    normalise: bool = False,
    columns: Mapping[str, pa.DataType] | None = None,
) -> int:
    """Writes a table of vectors, a batch at a time.

    Args:
        path: The file.
        rows: Ids, ``(n, d)`` vectors and columns of each batch.
        dimension: Length of a vector.
        normalise: Whether vectors are scaled to length 1; one that is zero stays zero.
        columns: Further columns.

    Returns:
        How many were written.
    """
    schema, count = vector_schema(dimension, columns), 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for some in rows:
            values = unit(some.values) if normalise else some.values
            if some.ids:
                writer.write_batch(vector_batch(schema, some.ids, values, some.columns))
                count += len(some.ids)
    return count


def unit(values: Floats) -> Floats:
    """Returns ``(n, d)`` vectors scaled to length 1; zero vectors stay zero."""
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return (values / np.where(lengths > 0, lengths, 1)).astype(np.float32)
