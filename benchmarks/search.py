"""How well and how fast vectors are found among many: recall against exact search, time a query, time to build.

The vectors are made up: clusters of different size that overlap, each with few directions of its own and some noise, as
features of a network have. Queries are vectors of the same clusters that are not in the index. Everything else is the
product's own: vectors in Parquet on an S3 server, cells made and kept there, opened as by `siamese similarity search`.
Prints one JSON line.

python benchmarks/search.py [--minutes 40] [--counts 10000 100000 1000000] [--dimension 696]
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from budget import Budget, add_minutes
from localstorage import local_storage

from siamese.embedding.search import Scaling, build_search_index, open_searcher
from siamese.embedding.stage import EMBEDDING_INDEX
from siamese.embedding.vectors import BATCH_ROWS, Floats, Rows, vector_batches, write_rows
from siamese.manifests import EmbeddingIndex
from siamese.params import SearchParams
from siamese.progress import log_to_stderr
from siamese.store import ObjectStore, put_file

K = 10
DIRECTIONS = 24


class Clusters:
    """A source of made-up vectors."""

    def __init__(self, count: int, dimension: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.clusters = max(20, round(count**0.5 / 4))
        self.shares = rng.dirichlet(np.full(self.clusters, 0.5))
        self.middles = rng.normal(0, 1, (self.clusters, dimension)).astype(np.float32)
        self.directions = rng.normal(0, 1, (8, DIRECTIONS, dimension)).astype(np.float32) / DIRECTIONS**0.5

    def draw(self, count: int, seed: int) -> Floats:
        """Returns ``(count, dimension)`` vectors."""
        rng = np.random.default_rng(seed)
        of = rng.choice(self.clusters, count, p=self.shares)
        out = self.middles[of]
        within = rng.normal(0, 1, (count, DIRECTIONS)).astype(np.float32)
        for group in range(len(self.directions)):
            inside = of % len(self.directions) == group
            out[inside] += within[inside] @ self.directions[group]
        out += rng.standard_normal(out.shape, np.float32) * np.float32(0.3)
        return np.maximum(out, 0, out=out)


def main() -> None:
    """Makes vectors, builds their cells, and asks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_minutes(parser)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="vectors")
    parser.add_argument("--dimension", type=int, default=696, help="of a vector; 696 are those of the default network")
    parser.add_argument("--queries", type=int, default=200, help="how many are asked")
    parser.add_argument("--probes", type=int, default=SearchParams().probes, help="cells that a query looks into")
    options = parser.parse_args()
    log_to_stderr()
    budget = Budget("search", options.minutes)
    found: dict[str, Any] = {}
    params = SearchParams(exact_up_to=0, probes=options.probes)
    for count in options.counts:
        with local_storage() as store:
            measured = budget.attempt(
                f"{count:,} vectors",
                partial(measure, store, count, options.dimension, options.queries, params),
            )
        if measured:
            found[str(count)] = measured
    print(
        budget.record({
            "cpus": os.cpu_count(), "dimension": options.dimension, "queries": options.queries, "probes": params.probes,
            "data": "made-up clusters", "counts": found,
        })
    )  # fmt: skip


def measure(store: ObjectStore, count: int, dimension: int, queries: int, params: SearchParams) -> dict[str, Any]:
    """Measures one size."""
    source = Clusters(count, dimension)
    index = _published(store, source, count, dimension)
    asked = source.draw(queries, seed=10**9)
    truth, exact_ms = _exactly(store, index, asked, params)
    began = time.perf_counter()
    built = build_search_index(index, params, store)
    build_s = time.perf_counter() - began
    began = time.perf_counter()
    searcher = open_searcher(index, params, store)
    open_s = time.perf_counter() - began
    searcher.search(asked[0], K)
    times, recalls = [], []
    for query, wanted in zip(asked, truth, strict=True):
        began = time.perf_counter()
        hits = searcher.search(query, K)
        times.append(1000 * (time.perf_counter() - began))
        recalls.append(len({hit.row for hit in hits} & set(wanted.tolist())) / K)
    return {
        "recall_at_10": float(np.mean(recalls)),
        "query_ms_median": float(np.median(times)),
        "query_ms_95": float(np.quantile(times, 0.95)),
        "exact_query_ms": exact_ms,
        "build_s": build_s,
        "open_s": open_s,
        "recipe": built.recipe,
        "index_mib": built.cells.size / 2**20,
        "vectors_mib": index.vectors.size / 2**20,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _published(store: ObjectStore, source: Clusters, count: int, dimension: int) -> EmbeddingIndex:
    def rows() -> Iterator[Rows]:
        for start in range(0, count, BATCH_ROWS):
            size = min(BATCH_ROWS, count - start)
            yield Rows([f"made-{row:08d}" for row in range(start, start + size)], source.draw(size, seed=start))

    origin = EMBEDDING_INDEX.plan(inputs={"benchmark": f"{count} {dimension}"}, params={})
    with tempfile.TemporaryDirectory(prefix="siamese-benchmark-") as folder:
        path = Path(folder) / "vectors.parquet"
        write_rows(path, rows(), dimension)
        blob = put_file(store, EmbeddingIndex.folder(store, origin.digest), path.name, path)
    return EmbeddingIndex(
        origin=origin, vectors=blob, encoder="none", source="benchmark", dimension=dimension, count=count,
        normalized=False,
    ).publish(store)  # fmt: skip


def _exactly(
    store: ObjectStore, index: EmbeddingIndex, asked: Floats, params: SearchParams
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], float]:
    """Returns the rows of the ``K`` nearest of each query by comparing every vector, and the time of one such query."""
    scaling = Scaling.fit((some.values for some in vector_batches(index, store)), index.dimension, params)
    queries = scaling(asked)
    best, rows = np.full((len(asked), K), -np.inf, np.float32), np.zeros((len(asked), K), np.int64)
    start, spent = 0, 0.0
    for some in vector_batches(index, store):
        values = scaling(some.values)
        began = time.perf_counter()
        values @ queries[0]
        spent += time.perf_counter() - began
        scores = np.concatenate([best, queries @ values.T], axis=1)
        order = np.argpartition(-scores, K - 1, axis=1)[:, :K]
        fresh = np.broadcast_to(np.arange(start, start + len(values)), (len(asked), len(values)))
        numbers = np.concatenate([rows, fresh], axis=1)
        best, rows = np.take_along_axis(scores, order, 1), np.take_along_axis(numbers, order, 1)
        start += len(values)
    return rows, 1000 * spent


if __name__ == "__main__":
    main()
