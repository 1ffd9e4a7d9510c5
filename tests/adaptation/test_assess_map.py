"""A published map is assessed: a sample that nobody can choose, and what its labels say."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from builders.labelled import feature, write_labels

from siamese.adaptation.assessment import assess_map, draw_sample
from siamese.adaptation.verb import adapt_map
from siamese.errors import SiameseError
from siamese.manifests import AssessmentSample, DamageMap, LabelSet
from siamese.params import AdaptationParams, EmbeddingParams, MappingParams
from siamese.store import ObjectStore

PARAMS = AdaptationParams()
EMBEDDING = EmbeddingParams(window_px=128, margin_px=32)


def drawn(sample: AssessmentSample, store: ObjectStore) -> list[str]:
    names: list[str] = pq.read_table(io.BytesIO(sample.table.read(store)))["building"].to_pylist()
    return names


def classes(made: DamageMap, store: ObjectStore) -> dict[str, str]:
    table = pq.read_table(io.BytesIO(made.buildings.read(store)), columns=["id", "damage_class"])
    return dict(zip(table["id"].to_pylist(), table["damage_class"].to_pylist(), strict=True))


@pytest.fixture
def label_file(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Writes classes given by the id of a building."""

    def write(labels: dict[str, str]) -> Path:
        return write_labels(tmp_path / "sample.geojson", [feature(None, one, id=name) for name, one in labels.items()])

    return write


def test_the_sample_is_drawn_once_and_says_nothing_about_the_map(store: ObjectStore, damage_map: DamageMap) -> None:
    sample = draw_sample(damage_map, 20, PARAMS, store)
    names = drawn(sample, store)
    assert len(set(names)) == 20
    assert draw_sample(damage_map, 20, PARAMS, store) == sample
    assert set(names) <= set(drawn(draw_sample(damage_map, 30, PARAMS, store), store)), "a larger one holds it"
    assert sum(count for _, count in sample.strata.values()) == 20
    features = json.loads(sample.geojson.read(store))["features"]
    assert [one["id"] for one in features] == names
    assert all(one["properties"] == {"id": one["id"], "damage_class": None} for one in features)


def test_labels_of_all_buildings_give_the_exact_truth(
    store: ObjectStore, damage_map: DamageMap, label_file: Callable[[dict[str, str]], Path]
) -> None:
    mapped = classes(damage_map, store)
    sample = draw_sample(damage_map, 1000, PARAMS, store)
    truth = {name: "destroyed" if one == "major_damage" else one for name, one in mapped.items()}
    found = assess_map(damage_map, sample, label_file(truth), PARAMS, store, author="Bo")
    major, destroyed = (sum(one == name for one in mapped.values()) for name in ("major_damage", "destroyed"))
    assert found.classes["destroyed"].buildings.estimate == major + destroyed
    assert found.classes["destroyed"].buildings.low == found.classes["destroyed"].buildings.high
    assert found.classes["destroyed"].precision.estimate == 1
    assert found.classes["destroyed"].recall.estimate == pytest.approx(destroyed / (major + destroyed))
    assert found.classes["major_damage"].precision.estimate == 0
    assert found.accuracy.estimate == pytest.approx(1 - major / len(mapped))
    assert any("buildings that the map missed are in no figure" in one for one in found.notes)
    (kept,) = LabelSet.every(store)
    assert (kept.purpose, kept.author, found.labels) == ("assessment", "Bo", kept.digest)
    again = assess_map(damage_map, sample, label_file(truth), PARAMS, store, author="Bo")
    assert again == found


def test_every_building_of_the_sample_needs_a_label(
    store: ObjectStore, damage_map: DamageMap, label_file: Callable[[dict[str, str]], Path]
) -> None:
    sample = draw_sample(damage_map, 12, PARAMS, store)
    names = drawn(sample, store)
    with pytest.raises(SiameseError, match="2 buildings of the sample have no label"):
        assess_map(damage_map, sample, label_file(dict.fromkeys(names[2:], "no_damage")), PARAMS, store, author="Bo")
    unclear = dict.fromkeys(names, "no_damage") | {names[0]: "unclear", names[1]: "no_building"}
    found = assess_map(damage_map, sample, label_file(unclear), PARAMS, store, author="Bo")
    assert any("1 building that nobody could judge" in one for one in found.notes)
    assert sum(one.labelled for one in found.classes.values()) == 10


def test_buildings_that_the_map_learned_from_are_not_drawn(
    store: ObjectStore, damage_map: DamageMap, label_file: Callable[[dict[str, str]], Path]
) -> None:
    names = list(classes(damage_map, store))
    path = label_file({names[0]: "destroyed", names[1]: "no_damage", names[2]: "minor_damage"})
    adapted = adapt_map(damage_map, path, PARAMS, EMBEDDING, MappingParams(), store, author="Ana")
    sample = draw_sample(adapted, 1000, PARAMS, store)
    assert sample.known == 3
    assert set(drawn(sample, store)) == set(names[3:])
    found = assess_map(adapted, sample, label_file(classes(adapted, store)), PARAMS, store, author="Bo")
    assert found.accuracy.estimate == found.accuracy.low == 1
    assert found.classes["destroyed"].mapped == adapted.counts["destroyed"]


def test_too_small_a_sample_is_refused(store: ObjectStore, damage_map: DamageMap) -> None:
    with pytest.raises(SiameseError, match="3 buildings are too few"):
        draw_sample(damage_map, 3, PARAMS, store)
