"""Search: the vectors of an index that are nearest to one; exact among few, by cells among many."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy

from siamese.embedding.stage import SEARCH_INDEX
from siamese.embedding.vectors import Floats, Vectors, read_vectors, unknown_id, vector_batches
from siamese.errors import SiameseError
from siamese.manifests import EmbeddingIndex, SearchIndex
from siamese.mapping.workplace import workplace
from siamese.params import SearchParams
from siamese.progress import progress
from siamese.store import Blob, ObjectStore, S3Uri, file_sha256, put_blob, put_file

_LEAST_TO_STANDARDISE: Final = 32
_TRAINED_ON: Final = 64
"""Vectors a cell that the cells are laid by."""
_ROUNDS: Final = 8
_ZERO: Final = "give another, or set search.metric=l2"
_FIX: Final = "make the index again: `siamese similarity embed`"


@dataclass(frozen=True)
class Hit:
    """A vector near the query."""

    id: str
    distance: float
    """1 minus the cosine, 0..2; or the Euclidean distance."""
    row: int
    """Position in the index."""
    columns: Mapping[str, Any]
    """What the index keeps beside the vector."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """What is done to vectors before they are compared.

    Attributes:
        mean: ``(d,)``, subtracted.
        factor: ``(d,)``, multiplied with.
        metric: ``cosine`` also gives them length 1.
    """

    mean: Floats
    factor: Floats
    metric: str

    @classmethod
    def fit(cls, batches: Iterable[Floats], dimension: int, params: SearchParams) -> Scaling:
        """Measures mean and deviation of each element over an index, a batch at a time."""
        count, total, squares = 0, np.zeros(dimension), np.zeros(dimension)
        if params.standardise:
            for values in batches:
                wide = values.astype(np.float64)
                count, total, squares = count + len(wide), total + wide.sum(0), squares + (wide**2).sum(0)
        if count < _LEAST_TO_STANDARDISE:
            return cls(np.zeros(dimension, np.float32), np.ones(dimension, np.float32), params.metric)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        silent = deviation <= 1e-6 * (np.abs(mean) + 1e-6)
        factor = np.where(silent, 0, 1 / np.where(silent, 1, deviation))
        return cls(mean.astype(np.float32), factor.astype(np.float32), params.metric)

    def __call__(self, values: Floats) -> Floats:
        """Returns ``(n, d)`` vectors as they are compared."""
        scaled = (values - self.mean) * self.factor
        if self.metric == "cosine":
            lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
            scaled = scaled / np.where(lengths > 0, lengths, 1)
        return np.ascontiguousarray(scaled, np.float32)


class Searcher:
    """Finds vectors of one index. Any number of threads may share it.

    Attributes:
        index: The index.
        ids: Name of each vector.
        columns: Further columns of its table.
        exact: Whether every vector is compared.
    """

    def __init__(
        self,
        index: EmbeddingIndex,
        ids: Sequence[str],
        columns: Mapping[str, Sequence[Any]],
        scaling: Scaling,
        cells: Any,  # noqa: ANN401 - faiss has no types
        *,
        exact: bool,
        part: slice = slice(None),
    ) -> None:
        self.index, self.ids, self.columns, self.exact = index, ids, columns, exact
        self._scaling, self._cells, self._part = scaling, cells, part

    def search(self, query: npt.ArrayLike, k: int, *, without: int | None = None) -> tuple[Hit, ...]:
        """Returns the vectors nearest to a query, the nearest first; all of them if there are fewer than ``k``.

        Args:
            query: ``(d,)``, as the index's encoder makes vectors.
            k: How many.
            without: Position of a vector that is not wanted, such as the query itself.

        Raises:
            SiameseError: The query has another length than the vectors, holds a NaN, or is zero; or k is below 1.
        """
        return self._nearest(self._scaling(self._checked(query, k)[None]), k, without)

    def like(self, name: str, k: int) -> tuple[Hit, ...]:
        """Returns the vectors nearest to one of the index, without that one.

        Raises:
            SiameseError: No vector has that id, or k is below 1.
        """
        row = self.row(name)
        if k < 1:
            raise _too_few(k)
        own = np.asarray(self._cells.reconstruct(row), np.float32)[None]
        if self._scaling.metric == "cosine" and not own.any():
            raise SiameseError("its vector is zero, so it has no direction to compare", where=name, fix=_ZERO)
        return self._nearest(own, k, row)

    def row(self, name: str) -> int:
        """Returns the position of an id.

        Raises:
            SiameseError: No vector has that id.
        """
        try:
            return self.ids.index(name)
        except ValueError:
            raise unknown_id(name, self.ids, f"index of {self.index.source}") from None

    def _nearest(self, queries: Floats, k: int, without: int | None) -> tuple[Hit, ...]:
        if not len(self.ids):
            return ()
        wanted = min(k + (without is not None), len(self.ids))
        scores, rows = self._cells.search(queries, wanted)
        if not self.exact and (rows < 0).any():
            # The cells looked into hold fewer: look into all.
            every = faiss.SearchParametersIVF(nprobe=self._cells.nlist)  # type: ignore[call-arg]
            scores, rows = self._cells.search(queries, wanted, params=every)
        cosine = self._scaling.metric == "cosine"
        hits = []
        for score, row in zip(scores[0].tolist(), rows[0].tolist(), strict=True):
            if row >= 0 and row != without:
                distance = max(1 - score, 0.0) if cosine else max(score, 0.0) ** 0.5
                columns = {name: column[row] for name, column in self.columns.items()}
                hits.append(Hit(self.ids[row], distance, row, columns))
        return tuple(hits[:k])

    def _checked(self, query: npt.ArrayLike, k: int) -> Floats:
        if k < 1:
            raise _too_few(k)
        values = np.asarray(query, np.float32)[..., :]
        expected = len(self._scaling.mean)
        if values.shape == (self.index.dimension,):
            values = values[self._part]
        if values.shape != (expected,):
            what = f"is of shape {values.shape}, not {expected} numbers"
            raise SiameseError(what, where="query vector", fix=f"make it with {self.index.encoder}")
        if not np.isfinite(values).all():
            raise SiameseError("holds a NaN or infinity", where="query vector", fix="make it again")
        if self._scaling.metric == "cosine" and not values.any():
            raise SiameseError("is zero, so it has no direction to compare", where="query vector", fix=_ZERO)
        return values


def open_searcher(index: EmbeddingIndex, params: SearchParams, store: ObjectStore, part: str | None = None) -> Searcher:
    """Prepares search among the vectors of an index.

    Small indexes are read whole. Of a large one, the cells are taken from the bucket; they are built if nobody has.

    Args:
        index: The vectors.
        params: Distance, and up to which size search is exact.
        store: Holds the vectors.
        part: Compare only this part of the vectors, one of :attr:`EmbeddingIndex.parts`; always exact.

    Raises:
        SiameseError: The vectors or cells are missing or damaged, or there is no such part.
    """
    if part is not None and part not in index.parts:
        fix = f"one of {', '.join(index.parts)}" if index.parts else "its vectors have no parts"
        raise SiameseError(f"its vectors have no part {part!r}", where=f"index of {index.source}", fix=fix)
    if index.count > params.exact_up_to and part is None:
        return _by_cells(index, build_search_index(index, params, store), params, store)
    span = slice(*index.parts[part]) if part is not None else slice(None)
    return search_among(read_vectors(index, store), index, params, span)


def search_among(vectors: Vectors, index: EmbeddingIndex, params: SearchParams, part: slice = slice(None)) -> Searcher:
    """Prepares exact search among vectors in memory."""
    values = vectors.values[:, part]
    scaling = Scaling.fit([values], values.shape[1], params)
    cells = (faiss.IndexFlatIP if params.metric == "cosine" else faiss.IndexFlatL2)(values.shape[1])
    cells.add(scaling(values))
    return Searcher(index, vectors.ids, vectors.columns, scaling, cells, exact=True, part=part)


def build_search_index(index: EmbeddingIndex, params: SearchParams, store: ObjectStore) -> SearchIndex:
    """Sorts the vectors of an index into cells (inverted lists), each vector rounded to a byte an element.

    The index is read three times, a batch at a time; in memory are the rounded vectors and a sample.

    Args:
        index: The vectors.
        params: Distance and number of cells.
        store: Holds the vectors; the cells are kept beside them.

    Raises:
        SiameseError: The vectors are missing or damaged.
    """
    origin = SEARCH_INDEX.plan(inputs={"index": index}, params={"search": params})
    if found := SEARCH_INDEX.find(store, origin, older=True):
        return found
    begun = time.monotonic()
    count = min(params.cells or round(2 * index.count**0.5), max(1, index.count // 8))
    with progress("build search index", 3 * index.count) as advance, workplace(store) as folder:

        def values() -> Iterator[Floats]:
            for some in vector_batches(index, store):
                yield some.values
                advance(len(some))

        scaling = Scaling.fit(values(), index.dimension, params)
        sample = _sampled(values(), index, min(index.count, count * _TRAINED_ON))
        cells, recipe = train_cells(scaling(sample), count, params)
        with pq.ParquetWriter(folder / "rows.parquet", _row_schema(index, store), compression="zstd") as writer:
            for some in vector_batches(index, store):
                cells.add(scaling(some.values))
                writer.write_batch(pa.RecordBatch.from_pydict({"id": some.ids, **some.columns}, writer.schema))
                advance(len(some))
        faiss.write_index(cells, str(folder / "cells.faiss"))
        target = SearchIndex.folder(store, origin.digest)
        numbers = safetensors.numpy.save({"mean": scaling.mean, "factor": scaling.factor})
        return SearchIndex(
            origin=origin,
            index=index.digest,
            cells=put_file(store, target, "cells.faiss", folder / "cells.faiss"),
            scaling=put_blob(store, target, "scaling.safetensors", numbers),
            rows=put_file(store, target, "rows.parquet", folder / "rows.parquet"),
            recipe=recipe,
            dimension=index.dimension,
            count=index.count,
            seconds=round(time.monotonic() - begun, 1),
        ).publish(store)


def train_cells(sample: Floats, count: int, params: SearchParams) -> tuple[Any, str]:
    """Returns an empty faiss index whose cells were laid by a sample, and its recipe."""
    recipe = f"IVF{count},SQ8"
    metric = faiss.METRIC_INNER_PRODUCT if params.metric == "cosine" else faiss.METRIC_L2
    cells: Any = faiss.index_factory(sample.shape[1], recipe, metric)
    cells.cp.niter, cells.cp.max_points_per_centroid, cells.cp.min_points_per_centroid = _ROUNDS, _TRAINED_ON, 1
    cells.train(sample)
    return cells, recipe


def _by_cells(index: EmbeddingIndex, found: SearchIndex, params: SearchParams, store: ObjectStore) -> Searcher:
    rows = pq.read_table(_kept(found.rows, store)).to_pydict()
    try:
        cells: Any = faiss.read_index(str(_kept(found.cells, store)), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        numbers = safetensors.numpy.load(found.scaling.read(store))
        scaling = Scaling(numbers["mean"], numbers["factor"], params.metric)
    except (RuntimeError, KeyError, safetensors.SafetensorError) as error:
        what = f"is no search index: {str(error).splitlines()[0]}"
        raise SiameseError(what, where=found.cells.uri, fix=_FIX) from error
    cells.nprobe = params.probes
    cells.make_direct_map()
    return Searcher(index, rows.pop("id"), rows, scaling, cells, exact=False)


def _kept(blob: Blob, store: ObjectStore) -> Path:
    """Returns a local copy of an object, kept in the cache under its sha256."""
    path = store.settings.cache / "search" / blob.sha256
    if not path.exists() or path.stat().st_size != blob.size:
        store.download(S3Uri.parse(blob.uri), path)
        if file_sha256(path) != blob.sha256:
            path.unlink()
            raise SiameseError("is not what was published", where=blob.uri, fix=_FIX)
    return path


def _sampled(batches: Iterator[Floats], index: EmbeddingIndex, size: int) -> Floats:
    """Returns ``(size, d)`` vectors drawn without replacement, always the same ones."""
    chosen = np.sort(np.random.default_rng(0).choice(index.count, size, replace=False))
    taken, start = [], 0
    for values in batches:
        inside = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, start + len(values))]
        taken.append(values[inside - start].copy())
        start += len(values)
    return np.concatenate(taken)


def _row_schema(index: EmbeddingIndex, store: ObjectStore) -> pa.Schema:
    first = next(iter(vector_batches(index, store, 1)))
    table = pa.table({"id": list(first.ids), **{name: list(column) for name, column in first.columns.items()}})
    fields = [pa.field(one.name, pa.string() if pa.types.is_null(one.type) else one.type) for one in table.schema]
    return pa.schema(fields)


def _too_few(k: int) -> SiameseError:
    return SiameseError(f"{k} answers were asked for", where="-k", fix="ask for 1 or more")
