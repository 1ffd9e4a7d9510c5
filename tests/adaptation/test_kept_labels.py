"""Labels that people handed in before: they carry over to other maps of the place, and what cannot be used is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from builders.labelled import SIDE, feature, layout, write_labels
from builders.made_rasters import SMALL, Colours, pair, write

from siamese.adaptation.buildings import MapBuildings, read_map_buildings
from siamese.adaptation.kept import about, in_order
from siamese.adaptation.labels import Label
from siamese.adaptation.labelset import keep_labels, place_labels
from siamese.adaptation.verb import adapt_map, adapt_to_kept
from siamese.classes import DAMAGE_CLASSES
from siamese.manifests import BuildingSet, Checkpoint, DamageMap, LabelSet
from siamese.mapping import map_pair
from siamese.params import AdaptationParams, EmbeddingParams, MappingParams
from siamese.store import ObjectStore

PARAMS = AdaptationParams()
EMBEDDING = EmbeddingParams(window_px=128, margin_px=32)
GIVEN = {0: "destroyed", 1: "no_damage", 2: "minor_damage", 7: "major_damage", 20: "no_building"}


@pytest.fixture
def other_map(store: ObjectStore, checkpoint: Checkpoint, tmp_path: Path) -> Callable[..., DamageMap]:
    """Maps the same ground from other images, on other pixels, and without some of the buildings."""

    def make(event: str = "storm", without: tuple[int, ...] = ()) -> DamageMap:
        there = [one for number, one in enumerate(layout()) if number not in without]
        noise = np.random.default_rng(2).integers(0, 6, (SIDE, SIDE, 3), np.uint8)
        files = [
            str(write(tmp_path / f"later_{date}.tif", pixels + noise))
            for date, pixels in zip(("pre", "post"), pair(SIDE, SIDE, *there), strict=True)
        ]
        params = SMALL.model_copy(update={"gsd": 0.6})
        return map_pair([files[0]], [files[1]], checkpoint, params, store, predictor=Colours(), event=event)

    return make


def handed_in(made: DamageMap, store: ObjectStore, tmp_path: Path) -> DamageMap:
    """The map after a person's labels."""
    ids = read_map_buildings(made, store).ids
    path = tmp_path / "labels.geojson"
    write_labels(path, [feature(None, name, id=ids[place]) for place, name in GIVEN.items()])
    return adapt_map(made, path, PARAMS, EMBEDDING, MappingParams(), store, author="Ana")


def adapted(made: DamageMap, store: ObjectStore, **more: Any) -> tuple[DamageMap, tuple[str, ...]]:  # noqa: ANN401
    return adapt_to_kept(made, PARAMS, EMBEDDING, MappingParams(), store, **more)


def nearest(buildings: MapBuildings, others: MapBuildings, place: int) -> int:
    """The building of a map that stands where one of another map stands."""
    middle = shapely.centroid(buildings.geometry[place])
    return int(np.argmin(shapely.distance(shapely.centroid(others.geometry), middle)))


def drawn(made: DamageMap, places: Iterable[int], store: ObjectStore) -> tuple[int, ...]:
    """The positions of buildings in the layout, which is not sorted as the map is."""
    outlines, corners = read_map_buildings(made, store).outlines, np.array([one[:2] for one in layout()])
    found = [shapely.bounds(outlines[place])[[1, 0]] for place in places]
    return tuple(int(np.abs(corners - one).sum(axis=1).argmin()) for one in found)


def test_labels_carry_over_to_a_map_of_other_images(
    store: ObjectStore, damage_map: DamageMap, other_map: Callable[..., DamageMap], tmp_path: Path
) -> None:
    by_hand = handed_in(damage_map, store, tmp_path)
    assert adapted(damage_map, store) == (by_hand, ()), "of the labelled map itself, `adapt` made it already"

    later = other_map()
    made, notes = adapted(later, store)
    assert notes == ()
    assert (made.parent, made.labels, made.event) == (later.digest, by_hand.labels, "storm")
    assert made.model.endswith(f", adapted to {len(GIVEN)} labels")
    before, after = read_map_buildings(damage_map, store), read_map_buildings(made, store)
    gone = sum(name == "no_building" for name in GIVEN.values())
    assert len(after) == len(read_map_buildings(later, store)) - gone
    assert before.ids != after.ids
    for place, name in GIVEN.items():
        if name in DAMAGE_CLASSES:
            assert DAMAGE_CLASSES[after.classes[nearest(before, after, place)]] == name

    count = len(list(store.list(store.lake / BuildingSet.kind / "")))
    assert adapted(later, store) == (made, ()), "made once"
    assert len(list(store.list(store.lake / BuildingSet.kind / ""))) == count


def test_labels_without_a_building_are_told_and_others_used(
    store: ObjectStore, damage_map: DamageMap, other_map: Callable[..., DamageMap], tmp_path: Path
) -> None:
    assert adapted(damage_map, store) == (damage_map, ()), "without labels nothing changes"
    handed_in(damage_map, store, tmp_path)
    (labels,) = LabelSet.every(store)
    later = other_map(without=drawn(damage_map, (0, 20), store))
    made, notes = adapted(later, store)
    assert notes == (f"2 labels lie on no building of the map and are not used (label set {labels.digest} by Ana)",)
    assert notes[0] in made.warnings
    assert made.model.endswith(", adapted to 3 labels")
    assert adapted(other_map(event="another storm"), store)[0].labels == ()
    emptied = other_map(without=drawn(damage_map, GIVEN, store))
    found, notes = adapted(emptied, store)
    assert found == emptied, "no label says anything about it"
    assert notes[0].startswith("5 labels lie on no building")


def test_two_labels_on_one_building_count_only_if_they_agree(store: ObjectStore, damage_map: DamageMap) -> None:
    buildings = read_map_buildings(damage_map, store)
    # As two halves of a building that another map takes for two.
    halves = MapBuildings(
        ids=("west", "east"),
        classes=buildings.classes[:2],
        probabilities=buildings.probabilities[:2],
        geometry=buildings.geometry[:2],
        outlines=np.array([shapely.box(4, 4, 14, 26), shapely.box(14, 4, 24, 26)], object),
        grid=buildings.grid,
    )
    for other, expected in (("destroyed", ["destroyed"]), ("no_damage", [])):
        given = [Label(0, "destroyed"), Label(1, other)]
        kept = keep_labels(damage_map, halves, given, store, author="Ana", source="halves")
        placed = place_labels(kept, buildings, store, event="storm")
        assert [one.damage_class for one in placed.labels] == expected
        assert placed.torn == (() if expected else (buildings.ids[0],))
        assert placed.lost == 0


def test_the_label_sets_of_a_disaster_are_those_to_learn_from(
    store: ObjectStore, damage_map: DamageMap, tmp_path: Path
) -> None:
    handed_in(damage_map, store, tmp_path)
    (labels,) = LabelSet.every(store)

    def like(**changes: object) -> LabelSet:
        return labels.model_copy(update=changes)

    scene = damage_map.model_copy(update={"event": "storm_00000003"})
    whole = damage_map.model_copy(update={"event": "storm"})
    assert about(whole, [like(event="storm_00000001"), like(event="storm")]) == (
        like(event="storm_00000001"), like(event="storm"),
    )  # fmt: skip
    assert about(scene, [like(event="storm"), like(event="storm_00000004")])
    assert about(whole, [like(event="flood"), like(purpose="assessment")]) == ()
    in_pixels = like(crs=None, scene="storm_00000003", pre=("elsewhere.png",))
    assert about(scene, [in_pixels]) == (in_pixels,)
    assert about(whole, [in_pixels]) == ()

    first = labels.origin.model_copy(update={"digest": "1" * 16})
    older = like(origin=first, made=labels.made - timedelta(hours=1))
    assert in_order([labels, older], damage_map, store) == (older, labels)
    again = damage_map.model_copy(
        update={
            "labels": (labels.digest, older.digest),
            "origin": damage_map.origin.model_copy(update={"digest": "2" * 16}),
        }
    ).publish(store)
    again.mark_current(store)
    assert in_order([older, labels], damage_map, store) == (labels, older), "it was handed in again"
