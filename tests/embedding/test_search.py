"""Search: exact and by cells, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from siamese.embedding.search import Searcher, build_search_index, open_searcher
from siamese.embedding.stage import EMBEDDING_INDEX
from siamese.embedding.vectors import Floats, Rows, read_vectors, write_rows
from siamese.errors import SiameseError
from siamese.manifests import EmbeddingIndex, SearchIndex
from siamese.params import SearchParams
from siamese.store import ObjectStore, S3Uri, put_file

EXACT = SearchParams(exact_up_to=10**6)
CELLS = SearchParams(exact_up_to=0, probes=8)


def clusters(count: int, dimension: int = 24, seed: int = 0) -> Floats:
    """Vectors around twenty middles."""
    rng = np.random.default_rng(seed)
    middles = np.random.default_rng(7).normal(0, 1, (20, dimension))
    return (middles[rng.integers(0, 20, count)] + rng.normal(0, 0.3, (count, dimension))).astype(np.float32)


def publish(store: ObjectStore, values: Floats, name: str = "made") -> EmbeddingIndex:
    """An index of vectors that nothing was embedded for."""
    origin = EMBEDDING_INDEX.plan(inputs={"made": f"{name} {values.sum()}"}, params={})

    def rows() -> Iterator[Rows]:
        for start in range(0, len(values), 100):
            some = values[start : start + 100]
            yield Rows([f"v{row}" for row in range(start, start + len(some))], some)

    store.settings.cache.mkdir(parents=True, exist_ok=True)
    path = store.settings.cache / "made.parquet"
    write_rows(path, rows(), values.shape[1])
    blob = put_file(store, EmbeddingIndex.folder(store, origin.digest), "vectors.parquet", path)
    return EmbeddingIndex(
        origin=origin, vectors=blob, encoder="made", source="made", dimension=values.shape[1], count=len(values),
        normalized=False, parts={"first": (0, 8), "second": (8, values.shape[1])},
    ).publish(store)  # fmt: skip


def test_exact_search_finds_what_a_plain_comparison_finds(store: ObjectStore) -> None:
    values = clusters(500)
    index = publish(store, values)
    scaled = (values - values.mean(0)) / values.std(0)
    scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
    similar = scaled @ scaled[17]
    similar[17] = -2
    hits = open_searcher(index, EXACT, store).like("v17", 5)
    assert [hit.row for hit in hits] == np.argsort(-similar)[:5].tolist()
    np.testing.assert_allclose([hit.distance for hit in hits], 1 - np.sort(similar)[::-1][:5], atol=1e-5)
    plain = SearchParams(metric="l2", standardise=False)
    nearest = open_searcher(index, plain, store).search(values[17], 3)
    assert (nearest[0].id, round(nearest[0].distance, 4)) == ("v17", 0)
    expected = np.sort(np.linalg.norm(values - values[17], axis=1))[:3]
    np.testing.assert_allclose([hit.distance for hit in nearest], expected, atol=1e-3)


def test_one_part_of_the_vectors_can_be_compared_alone(store: ObjectStore) -> None:
    values = clusters(100)
    values[1, :8] = values[0, :8]
    index = publish(store, values)
    hit = open_searcher(index, EXACT, store, "first").like("v0", 1)[0]
    assert (hit.id, round(hit.distance, 5)) == ("v1", 0)
    assert open_searcher(index, EXACT, store, "first").search(values[0], 1)[0].row in (0, 1)
    with pytest.raises(SiameseError, match="its vectors have no part 'third' — one of first, second"):
        open_searcher(index, EXACT, store, "third")


def test_search_by_cells_finds_nearly_all_and_is_built_once(store: ObjectStore) -> None:
    values = clusters(4000)
    index = publish(store, values)
    exact, approximate = open_searcher(index, EXACT, store), open_searcher(index, CELLS, store)
    assert (exact.exact, approximate.exact) == (True, False)
    shared = [len(_found(exact, name) & _found(approximate, name)) for name in ("v3", "v1000", "v2222", "v3999")]
    assert np.mean(shared) >= 9.5
    built = build_search_index(index, CELLS, store)
    assert build_search_index(index, CELLS, store) == built
    assert built.count == 4000
    assert built.cells.size < 4000 * 24 * 4, "smaller than the vectors"


def _found(searcher: Searcher, name: str) -> set[str]:
    return {hit.id for hit in searcher.like(name, 10)}


def test_more_than_there_is_gives_all(store: ObjectStore) -> None:
    index = publish(store, clusters(12))
    assert len(open_searcher(index, EXACT, store).like("v0", 50)) == 11
    assert len(open_searcher(index, CELLS, store).like("v0", 50)) == 11


@pytest.mark.parametrize(
    ("query", "k", "message"),
    [
        ([0.0] * 24, 3, "query vector: is zero, so it has no direction to compare"),
        ([float("nan")] * 24, 3, "query vector: holds a NaN or infinity"),
        ([1.0, 2.0], 3, r"query vector: is of shape \(2,\), not 24 numbers"),
        ([1.0] * 24, 0, "-k: 0 answers were asked for"),
    ],
)
def test_queries_that_mean_nothing_are_refused(store: ObjectStore, query: list[float], k: int, message: str) -> None:
    searcher = open_searcher(publish(store, clusters(50)), EXACT, store)
    with pytest.raises(SiameseError, match=message):
        searcher.search(query, k)


def test_a_zero_vector_has_no_neighbours_by_direction(store: ObjectStore) -> None:
    values = clusters(20)
    values[3] = 0
    index = publish(store, values)
    with pytest.raises(SiameseError, match="v3: its vector is zero, so it has no direction to compare"):
        open_searcher(index, EXACT, store).like("v3", 2)
    assert len(open_searcher(index, SearchParams(metric="l2"), store).like("v3", 2)) == 2


def test_cells_that_hold_too_few_are_not_the_last_word(store: ObjectStore) -> None:
    index = publish(store, clusters(2000))
    few = SearchParams(exact_up_to=0, probes=1)
    assert len(open_searcher(index, few, store).like("v0", 1500)) == 1500


def test_an_unknown_id_is_named(store: ObjectStore) -> None:
    searcher = open_searcher(publish(store, clusters(50)), EXACT, store)
    with pytest.raises(SiameseError, match="has no vector with the id 'w1' — its ids look like 'v0'"):
        searcher.like("w1", 3)


def test_a_vector_that_is_not_finite_is_named(store: ObjectStore) -> None:
    values = clusters(50)
    values[31, 5] = np.nan
    with pytest.raises(SiameseError, match="holds a NaN or infinity in the vector of 'v31'"):
        read_vectors(publish(store, values), store)


def test_a_table_that_was_changed_or_cut_is_refused(store: ObjectStore) -> None:
    index = publish(store, clusters(50))
    whole = store.get(S3Uri.parse(index.vectors.uri))
    store.put(S3Uri.parse(index.vectors.uri), whole[: len(whole) // 2])
    with pytest.raises(SiameseError, match="is not what was published — make the index again"):
        read_vectors(index, store)
    with pytest.raises(SiameseError, match="is not what was published"):
        open_searcher(index, CELLS, store)


def test_cells_that_were_changed_are_refused(store: ObjectStore) -> None:
    index = publish(store, clusters(400))
    built: SearchIndex = build_search_index(index, CELLS, store)
    store.put(S3Uri.parse(built.cells.uri), b"x" * built.cells.size)
    with pytest.raises(SiameseError, match="is not what was published"):
        open_searcher(index, CELLS, store)
