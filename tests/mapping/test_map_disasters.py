"""All scenes of a disaster as one map, and what a run may be asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import shapely
from builders.made_rasters import SMALL, Colours, pair, write
from builders.quake_archive import BUILDINGS, SIDE, WEST, quake_catalog
from builders.tinyscenes import DEGREES_PER_PX, scene_label

from siamese.embedding.reopening import map_parts, reopened
from siamese.errors import SiameseError
from siamese.ingest.catalog import ObjectRef, Scene, read_catalog
from siamese.manifests import Checkpoint, DamageMap, Prediction
from siamese.mapping import map_disaster, map_scene
from siamese.mapping.disasters import by_disaster, within
from siamese.mapping.events import disaster_of
from siamese.mapping.inputs import ImageFile, scene_images
from siamese.mapping.placing import place_images
from siamese.mapping.queue import in_order_of_need
from siamese.mapping.request import MapRequest
from siamese.mapping.task import MapTask
from siamese.store import ObjectStore

PARAMS = SMALL.model_copy(update={"align": False, "find_obscured": False})


def scene(name: str, disaster_type: str | None = "earthquake", **more: Any) -> Scene:  # noqa: ANN401
    """A scene of an archive, with a georeference unless that is taken away."""
    image = ObjectRef(uri="s3://raw/scenes.tar", start=len(name), length=1, sha256="0" * 64)
    place = {"crs": "EPSG:4326", "transform": (1e-5, 0, 0, 0, -1e-5, 10)} | more
    return Scene(
        scene=name, disaster=name.rpartition("_")[0], disaster_type=disaster_type, verdict="unlabelled",
        pre_image=image, post_image=image, identity="1", **place,
    )  # fmt: skip


def test_scenes_of_a_disaster_are_one_map_like_their_own_maps(store: ObjectStore, checkpoint: Checkpoint) -> None:
    catalog = quake_catalog(store, 4, unplaced=[3])
    catalog.mark_latest(store)
    (whole,), alone = by_disaster(read_catalog(store, catalog))
    assert (whole.name, whole.type, [one.scene for one in alone]) == ("quake", "earthquake", ["quake_00000003"])
    network = Colours()
    made = map_disaster(whole, checkpoint, PARAMS, store, predictor=network)
    fresh = network.asked
    assert made.event == "quake"
    assert made.counts == {"no_damage": 3, "minor_damage": 3, "major_damage": 3, "destroyed": 3, "unknown": 0}
    across = SIDE * DEGREES_PER_PX
    assert made.bounds == pytest.approx((WEST, 10 - across, WEST + 3 * across, 10), abs=2e-5)
    assert made.pre == tuple(f"{store.raw}quake/scenes.tar#quake_{n:08d}_pre_disaster" for n in range(3))
    for one in whole.scenes:
        assert sum(map_scene(one, checkpoint, PARAMS, store, predictor=Colours()).counts.values()) == len(BUILDINGS)
    with reopened(map_parts(made, store), store) as imagery:
        assert [tile.name for tile in imagery.post.mosaic.tiles] == [one.replace("pre", "post") for one in made.pre]
        assert len(set(imagery.pre.identities)) == 3, "images of one archive are told apart"
    assert map_disaster(whole, checkpoint, PARAMS, store, predictor=network) == made
    assert network.asked == fresh

    grown = quake_catalog(store, 5, unplaced=[3])
    ((larger,), _), network = by_disaster(read_catalog(store, grown)), Colours()
    wider = map_disaster(larger, checkpoint, PARAMS, store, predictor=network)
    assert sum(wider.counts.values()) == 4 * len(BUILDINGS)
    assert 0 < network.asked < fresh, "windows that the new scene does not touch are kept"
    seconds = [Prediction.load(store, str(one.prediction)).seconds for one in (made, wider)]
    assert seconds[0]
    assert seconds[1] is None, "other runs had predicted some of its windows"
    wider.mark_current(store)
    assert DamageMap.current(store, "quake") == wider


def test_scenes_are_grouped_in_order_of_need_and_contradictions_are_told() -> None:
    scenes = [
        scene("flood_00000002"),
        scene("fire_00000001"),
        scene("flood_00000001"),
        scene("fire_00000002", crs=None),
    ]
    written = {"s3://raw/scenes.tar": datetime(2026, 1, 1, tzinfo=UTC)}
    ordered = in_order_of_need(scenes, {"flood"}, written, lambda one: one.disaster)
    disasters, alone = by_disaster(ordered)
    assert [one.name for one in disasters] == ["fire", "flood"], "what has no map comes first"
    assert [one.scene for one in disasters[1].scenes] == ["flood_00000001", "flood_00000002"]
    assert [one.scene for one in alone] == ["fire_00000002"]
    ((torn,), _) = by_disaster([scene("flood_00000001", "flooding"), scene("flood_00000002", "wind")])
    with pytest.raises(SiameseError, match="flood: its scenes name several disaster types: flooding, wind"):
        _ = torn.type
    ((unsaid,), _) = by_disaster([scene("flood_00000001", None)])
    assert unsaid.type is None


def far(number: int, west: float, south: float = 10.0, **more: Any) -> Scene:  # noqa: ANN401
    """A scene of about a kilometre, somewhere."""
    box = {"bounds": (west, south, west + 0.009, south + 0.009), "pixel_m": 0.5, "width": 2048, "height": 2048}
    return scene(f"flood_{number:08d}", **box | more)


def test_scenes_far_apart_are_a_map_for_each_cell() -> None:
    together = [far(number, 20 + 0.01 * number) for number in range(4)]
    ((whole,), _) = by_disaster(together)
    assert whole.name == "flood"
    scattered = [far(5, 21.01), *together, far(4, 20.99, -9.99)]
    disasters, alone = by_disaster(scattered)
    assert not alone
    names = [one.name for one in disasters]
    assert names == ["flood_10.0312N_21.0312E", "flood_10.0312N_20.0312E", "flood_9.9688S_20.9688E"]
    assert [len(one.scenes) for one in disasters] == [1, 4, 1]
    assert {disaster_of(name) for name in names} == {"flood"}, "labels of the disaster are learned from in each part"
    # What comes later changes one part and no name.
    grown, _ = by_disaster([*scattered, far(6, 20.04)])
    assert [(one.name, len(one.scenes)) for one in grown] == list(zip(names, (1, 5, 1), strict=True))
    # Many scenes may lie over a wide area, and a scene whose place is not known is told about later.
    ((dense,), _) = by_disaster([far(n, 20 + 0.01 * (n % 30), 10 + 0.01 * (n // 30)) for n in range(900)])
    assert dense.name == "flood"
    ((unknown,), _) = by_disaster([*scattered, far(7, 20, bounds=None)])
    assert unknown.name == "flood"
    across, _ = by_disaster([far(1, 179.9), far(2, -179.9)])
    assert [one.name for one in across] == ["flood"], "neighbours across the antimeridian lie together"


def test_scenes_outside_an_area_are_left_out() -> None:
    scenes = [far(1, 20), far(2, 25), far(3, 30, bounds=None)]
    assert within(scenes, None) == scenes
    assert within(scenes, (19.5, 9.5, 20.5, 10.5)) == [scenes[0], scenes[2]]


def test_a_map_knows_its_dates_if_all_its_images_do() -> None:
    dated = [
        scene(f"flood_0000000{n}", pre_date=f"2020-01-0{n + 1}T10:00:00.000Z", post_date=f"2020-02-0{n + 1}")
        for n in range(2)
    ]
    images = scene_images(dated, "pre"), scene_images(dated, "post")
    assert [image.name.partition("#")[2] for image in images[0]] == [f"flood_0000000{n}_pre_disaster" for n in range(2)]
    task = MapTask(*images, (), "flood", "a model", None)
    assert task.dates == (datetime(2020, 1, 1, 10, tzinfo=UTC), datetime(2020, 2, 2, tzinfo=UTC))
    some = [dated[0], dated[1].model_copy(update={"post_date": None})]
    assert MapTask(images[0], scene_images(some, "post"), (), "flood", "a model", None).dates[1] is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"pre": ("a.tif",)}, "pre, post: post names no image"),
        ({"post": ("a.tif",), "pre": ()}, "pre, post: pre names no image"),
        ({"pre": ("a",), "post": ("b",), "source": "s3://raw/x", "per": "disaster"}, "pre, post: source, per: imagery"),
        ({"disaster_date": date(2026, 1, 2)}, "disaster_date: is only for STAC catalogs"),
        ({"per": "disaster", "scenes": ("flood_00000001",)}, "per: disaster: scenes: a map of all scenes cannot leave"),
        (
            {"aoi": "1,2,3,4", "footprints": "s3://raw/f"},
            "per: scene: aoi, footprints: scenes that are mapped one by one",
        ),
        ({"per": "disaster", "disaster_type": "plague"}, "disaster_type: plague: no such disaster type"),
    ],
)
def test_parameters_that_contradict_each_other_are_told_in_one_line(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SiameseError) as raised:
        MapRequest(**given)
    assert str(raised.value).startswith(told)
    assert " — " in str(raised.value)
    assert "\n" not in str(raised.value)


def test_parameters_that_go_together() -> None:
    assert not MapRequest(source="s3://raw/x", scenes=("flood_00000001",), event="flood").names_imagery
    assert not MapRequest(per="disaster", event="flood", aoi="1,2,3,4", disaster_type="flooding").names_imagery
    assert MapRequest(pre=("a",), post=("b",), event="flood", disaster_date=date(2026, 1, 2), aoi="x").names_imagery


def test_named_scenes_are_placed_by_their_own_labels(tmp_path: Path) -> None:
    names = [f"quake_{number:08d}" for number in (2, 1)]
    files: dict[str, list[ImageFile]] = {"pre": [], "post": []}
    for name, (place, when) in product(names, enumerate(files)):
        shape = shapely.box(10, 12, 40 + place, 50)
        image = write(tmp_path / f"{name}_{when}_disaster.png", pair(64, 64)[place], crs=None, driver="PNG")
        label = image.with_suffix(".json")
        east = 64 * DEGREES_PER_PX * int(name[-1]) + place * 3e-6
        label.write_bytes(
            scene_label(name, date, [(shape, shape, "no-damage")], "earthquake", east=east, size=(64, 64))
        )
        files[when].append(ImageFile(image, str(image), name, label))
    placed = place_images(files["pre"], files["post"][::-1], tmp_path / "work", (3, 3))
    lefts = {tile.name.rpartition("/")[2][:14]: tile.transform.c for tile in placed.pre}
    assert lefts == pytest.approx({name: 64 * DEGREES_PER_PX * int(name[-1]) for name in names})
    assert {tile.name.rpartition("/")[2][:14]: tile.transform.c for tile in placed.post} == lefts, "one fit a scene"
    stray = [*files["post"][:1], replace(files["post"][1], name="elsewhere.png")]
    with pytest.raises(SiameseError, match="cannot be placed"):
        place_images(files["pre"], stray, tmp_path / "other", (3, 3))
