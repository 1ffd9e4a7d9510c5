"""Classes by example: from examples in a file to a column of the map."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from siamese.embedding import Vectors, embed_map, read_vectors
from siamese.embedding.examples import read_examples, tag_buildings, write_tagged
from siamese.embedding.tagging import score_like
from siamese.errors import SiameseError
from siamese.manifests import DamageMap
from siamese.params import EmbeddingParams
from siamese.store import ObjectStore

PARAMS = EmbeddingParams(window_px=128, margin_px=32)


def test_the_rare_class_of_the_examples_scores_highest() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (3000, 40)).astype(np.float32)
    values[:60, :6] += 2.5
    scores = score_like(values, range(5))
    assert scores.shape == (3000,)
    assert ((scores >= 0) & (scores <= 1)).all()
    best = np.argsort(-scores)[:60]
    assert (best < 60).mean() > 0.7, "sixty among three thousand, found by five"
    lookalikes = np.flatnonzero(values[60:, 0] > 2.5)[:5] + 60
    lower = score_like(values, range(5), lookalikes.tolist())
    assert lower[lookalikes].mean() < scores[lookalikes].mean()


@pytest.mark.parametrize(
    ("positive", "negative", "message"),
    [
        ([], [1], "there is no example"),
        ([1, 2], [2], "1 buildings are examples and counter-examples at once"),
        ([0, 1, 2, 3], [], "every building is an example"),
    ],
)
def test_examples_that_cannot_be_learned_from_are_refused(
    positive: list[int], negative: list[int], message: str
) -> None:
    with pytest.raises(SiameseError, match=message):
        score_like(np.eye(4, dtype=np.float32), positive, negative)


@pytest.fixture
def made(make_map: Callable[..., DamageMap]) -> DamageMap:
    return make_map()


@pytest.fixture
def vectors(made: DamageMap, store: ObjectStore) -> Vectors:
    return read_vectors(embed_map(made, PARAMS, store), store)


def test_ids_points_and_outlines_are_examples(
    store: ObjectStore, made: DamageMap, vectors: Vectors, tmp_path: Path
) -> None:
    table = gpd.read_parquet(io.BytesIO(made.buildings.read(store)))
    spot = table.geometry.iloc[2].representative_point()
    outline = json.loads(gpd.GeoSeries([table.geometry.iloc[4]]).to_json())["features"][0]["geometry"]
    features = [
        {"type": "Feature", "id": vectors.ids[0], "properties": {"label": 1}, "geometry": None},
        {"type": "Feature", "properties": {"label": False}, "geometry": json.loads(shapely.to_geojson(spot))},
        {"type": "Feature", "properties": {}, "geometry": outline},
    ]  # fmt: skip
    path = tmp_path / "examples.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    tagged = tag_buildings(made, vectors, read_examples(path), "tarpaulin", store)
    assert (tagged.positives, tagged.negatives) == (2, 1)
    assert min(tagged.scores[[0, 4]]) > tagged.scores[2]
    out = tmp_path / "out" / "tagged.parquet"
    write_tagged(made, tagged, out, store)
    found = gpd.read_parquet(out)
    assert found["id"].tolist() == table["id"].tolist()
    np.testing.assert_allclose(found["tarpaulin"], tagged.scores)
    assert found.geometry.equals(table.geometry)
    assert pq.read_schema(out).names[-2:] == ["geometry", "bbox"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id\nnowhere\n", r"map .* \(storm\): has no building 'nowhere' — its ids look like"),
        ("id,label\nx,maybe\n", "line 2: label is 'maybe' — write 1 for an example, 0 for a counter-example"),
        ("name\nx\n", "has no column id"),
        ("id\n", "names no building"),
        ('{"features": 3}', "is no GeoJSON of examples"),
        ('{"features": [{"geometry": {"type": "Point", "coordinates": []}}]}', "feature 1 has no usable geometry"),
        ('{"features": [{"properties": [1], "geometry": null}]}', "is no GeoJSON of examples"),
        ('id,label\n"x,1\ny,0\n', "not a CSV table after line 1: unexpected end of data — close every quote"),
        (
            '{"features": [{"properties": {}, "geometry": {"type": "Point", "coordinates": [1, 2]}}]}',
            "no building lies at 1.000000, 2.000000",
        ),
    ],
)
def test_bad_examples_get_one_line(
    store: ObjectStore, made: DamageMap, vectors: Vectors, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "examples"
    path.write_text(text)
    with pytest.raises(SiameseError, match=message):
        tag_buildings(made, vectors, read_examples(path), "tarpaulin", store)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"features": ' + "[" * 100_000, "is no GeoJSON of examples: maximum recursion"),
        ("id,label\n" + "x" * 140_000 + ",1\n", "not a CSV table after line 1: field larger than field limit"),
    ],
    ids=["deep nesting", "long field"],
)
def test_examples_that_no_parser_takes_get_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "examples"
    path.write_text(text)
    with pytest.raises(SiameseError, match=message):
        read_examples(path)


def test_a_name_that_fits_no_column_is_refused(
    store: ObjectStore, made: DamageMap, vectors: Vectors, tmp_path: Path
) -> None:
    path = tmp_path / "examples.csv"
    path.write_text(f"id\n{vectors.ids[0]}\n")
    with pytest.raises(SiameseError, match="--name 'a b; drop': does not fit a column"):
        tag_buildings(made, vectors, read_examples(path), "a b; drop", store)
    tagged = tag_buildings(made, vectors, read_examples(path), "review", store)
    with pytest.raises(SiameseError, match="is a column of the map already — choose another --name"):
        write_tagged(made, tagged, tmp_path / "out.parquet", store)
