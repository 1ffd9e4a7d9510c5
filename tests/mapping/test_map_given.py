"""What people give beside the imagery: an area of interest, and footprints that keep their ids."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from affine import Affine
from builders.made_rasters import PLACE, SMALL, UTM, Colours, draw, pair, read, write
from shapely import box

from siamese.errors import SiameseError
from siamese.manifests import BuildingSet, Checkpoint, DamageMap, Prediction
from siamese.mapping import map_pair
from siamese.mapping.area import Area, find_area
from siamese.mapping.buildings import MappedBuilding, read_buildings
from siamese.mapping.grid import Grid
from siamese.mapping.polygons import bounding_box, box_polygons
from siamese.mapping.reasons import Reason
from siamese.mapping.shape_files import find_shapes
from siamese.mapping.shapes import read_shapes
from siamese.mapping.vectors import BuildingWriter
from siamese.store import ObjectStore

SIDE = 200


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Three buildings: minor damage, destroyed, and no damage in the lower right."""
    pre, post = pair(SIDE, SIDE, (20, 20, 24, 24, 1), (60, 110, 24, 24, 3), (150, 150, 24, 24, 0))
    return write(tmp_path / "pre.tif", pre), write(tmp_path / "post.tif", post)


def degrees(*pixels: shapely.Geometry) -> gpd.GeoSeries:
    """Shapes in pixels of the made images, in degrees."""
    placed = [shapely.transform(one, lambda points: np.column_stack(PLACE @ points.T)) for one in pixels]
    return gpd.GeoSeries(placed, crs=UTM).to_crs(4326)


def test_only_the_area_is_mapped_and_buildings_on_its_edge_are_whole(files: tuple[Path, Path], tmp_path: Path) -> None:
    # The area ends in the middle of the second building, of which less than half is inside.
    outline = degrees(shapely.Polygon([(5, 5), (120, 5), (120, 130), (5, 130)]))
    area = Area("area", "1", np.array(outline, dtype=object))
    made = draw([files[0]], [files[1]], tmp_path / "out", area=area)
    assert made.counts == {"minor_damage": 1}
    wider = Area(
        "area", "2", np.array(degrees(shapely.Polygon([(5, 5), (126, 5), (126, 130), (5, 130)])), dtype=object)
    )
    both = draw([files[0]], [files[1]], tmp_path / "wider", area=wider)
    assert both.counts == {"minor_damage": 1, "destroyed": 1}
    found = gpd.read_parquet(both.buildings).to_crs(UTM).set_index("damage_class")
    assert found.area_px.to_dict() == {"minor_damage": 576, "destroyed": 576}
    classes, reasons = read(both.classes), read(both.reasons)
    assert classes.shape == pytest.approx((194, 190), abs=1), "the area and a margin, within the images"
    assert (classes[:, 150:] == 255).all()
    assert (reasons[:, 150:] == Reason.OUTSIDE).all()
    assert both.unknown_share == 0, "what lies outside is not unknown"
    assert both.reason_shares == {}


def test_footprints_replace_what_the_network_finds_and_keep_their_ids(files: tuple[Path, Path], tmp_path: Path) -> None:
    given = (
        ("way/7", box(110, 60, 134, 84)),
        ("way/3", box(22, 22, 40, 40)),
        ("bare", box(60, 150, 80, 170)),
        ("beyond", box(190, 190, 230, 230)),
        ("tiny", box(100.2, 10.2, 100.4, 10.4)),
    )
    made = draw([files[0]], [files[1]], tmp_path / "alone", footprints=given)
    found = {one.footprint_id: one for one in read_buildings(made.table)}
    assert set(found) == {"way/7", "way/3", "bare", "beyond", "tiny"}
    assert (found["way/7"].damage_class, found["way/3"].damage_class) == ("destroyed", "minor_damage")
    assert found["bare"].probability == pytest.approx(0.1, abs=0.01), "the network sees no building there"
    assert found["bare"].damage_class == "minor_damage", "and the ground's colour is all that it can tell"
    assert found["way/3"].outline.equals(box(22, 22, 40, 40)), "outlines stay as they were drawn"
    assert sum(made.counts.values()) == 5
    classes = read(made.classes)
    assert classes[70, 120] == 4
    assert classes[160, 160] == 0, "the network's own building is left out"
    merged = draw(
        [files[0]], [files[1]], tmp_path / "merged", SMALL.model_copy(update={"footprint_use": "merge"}),
        footprints=given[:2],
    )  # fmt: skip
    rows = list(read_buildings(merged.table))
    assert sorted((one.footprint_id or "", one.damage_class) for one in rows) == [
        ("", "no_damage"), ("way/3", "minor_damage"), ("way/7", "destroyed"),
    ]  # fmt: skip
    assert read(merged.classes)[20, 20] == 0, "of a building with a footprint only the footprint counts"


def test_a_footprint_that_one_date_does_not_show_is_unknown_and_says_why(tmp_path: Path) -> None:
    pre, post = pair(SIDE, SIDE, (20, 20, 24, 24, 1), (60, 150, 24, 24, 3))
    paths = [write(tmp_path / "pre.tif", pre)], [write(tmp_path / "post.tif", post[:, :120])]
    given = (("a", box(20, 20, 44, 44)), ("b", box(150, 60, 174, 84)), ("c", box(115, 100, 135, 120)))
    made = draw(*paths, tmp_path / "out", footprints=given)
    found = {one.footprint_id: one for one in read_buildings(made.table)}
    assert (found["a"].damage_class, found["a"].unknown_share, found["a"].reasons) == ("minor_damage", 0, "")
    assert (found["b"].damage_class, found["b"].unknown_share, found["b"].reasons) == ("unknown", 1, "one_date")
    assert (found["c"].damage_class, found["c"].unknown_share) == ("unknown", 0.75)
    assert made.reason_shares == {"one_date": 0.4}


def test_drawn_aside_footprints_take_their_class_from_where_the_imagery_shows_them(tmp_path: Path) -> None:
    places = [(row, col) for row in range(20, 230, 44) for col in range(20, 230, 44)]
    pre, post = pair(256, 256, *((row, col, 14, 14, 3) for row, col in places))
    post[post[..., 1] == GROUND_GREEN] = 60
    paths = [write(tmp_path / "pre.tif", pre)], [write(tmp_path / "post.tif", post)]
    given = tuple((f"{row} {col}", box(col - 9, row + 6, col + 5, row + 20)) for row, col in places)
    params = SMALL.model_copy(update={"tile_px": 256})
    made = draw(*paths, tmp_path / "out", params, footprints=given)
    assert made.footprint_shifts is not None
    right, down, _ = made.footprint_shifts.median_px
    assert (right, down) == pytest.approx((9, -6), abs=0.3)
    assert made.counts == {"destroyed": len(places)}
    still = draw(*paths, tmp_path / "still", params.model_copy(update={"align_footprints": False}), footprints=given)
    assert still.counts != made.counts


def test_the_map_tells_how_far_the_footprints_lie_aside_and_keeps_it_as_a_layer(
    store: ObjectStore, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    places = [(row, col) for row in range(20, 230, 44) for col in range(20, 230, 44)]
    pre, post = pair(256, 256, *((row, col, 14, 14, 3) for row, col in places))
    paths = [str(write(tmp_path / "pre.tif", pre))], [str(write(tmp_path / "post.tif", post))]
    aside = degrees(*(box(col - 9, row + 6, col + 5, row + 20) for row, col in places))
    aside.to_file(tmp_path / "footprints.geojson")
    params = SMALL.model_copy(update={"tile_px": 256})

    def mapped(**changed: object) -> DamageMap:
        how = params.model_copy(update=changed)
        given = str(tmp_path / "footprints.geojson")
        return map_pair(*paths, checkpoint, how, store, predictor=Colours(), footprints=given, event="storm")

    made = mapped()
    assert made.footprint_alignment is not None
    assert made.footprint_alignment.length_px == pytest.approx(math.hypot(9, 6), abs=0.3)
    (told,) = [one for one in made.warnings if "against the footprints" in one]
    assert re.fullmatch(
        r"the images are shifted by 10\.\d px \(5\.\d m\) against the footprints \(1 of 1 blocks\) and were aligned",
        told,
    )
    assert told in made.products["report_html"].read(store).decode()
    item = json.loads(made.products["stac_item"].read(store))
    assert item["properties"]["siamese:footprint_alignment"] == made.footprint_alignment.model_dump(mode="json")
    layer = made.products["footprint_shifts"]
    assert item["assets"]["footprint_shifts"]["file:checksum"] == "1220" + layer.sha256
    found = BuildingSet.load(store, str(made.building_set)).shifts
    assert found is not None
    assert layer.read(store) == found.read(store)
    still = mapped(align_footprints=False)
    assert still.footprint_alignment is None
    assert "footprint_shifts" not in still.products
    assert not [one for one in still.warnings if "against the footprints" in one]


GROUND_GREEN = 60


@pytest.mark.parametrize("suffix", ["geojson", "gpkg", "fgb", "parquet"])
def test_footprints_are_read_in_every_format_with_their_ids(store: ObjectStore, tmp_path: Path, suffix: str) -> None:
    shapes = degrees(box(20, 20, 44, 44), box(110, 60, 134, 84))
    frame = gpd.GeoDataFrame({"osm_id": ["w1", "w2"]}, geometry=list(shapes.to_crs(UTM)), crs=UTM)
    path = tmp_path / f"footprints.{suffix}"
    frame.to_parquet(path) if suffix == "parquet" else frame.to_file(path)
    store.upload(path, store.raw / "given" / path.name)
    for name in (str(path), f"{store.raw}given/{path.name}"):
        found = read_shapes(find_shapes(name, "--footprints", store), store, tmp_path / "copies")
        areas = dict(zip(found.ids, shapely.area(found.geometries), strict=True))
        assert areas == pytest.approx({"w1": shapes.area[0], "w2": shapes.area[1]})


def test_of_a_partitioned_release_only_what_touches_the_map_is_read(store: ObjectStore, tmp_path: Path) -> None:
    here, far = degrees(box(20, 20, 44, 44), box(90_000, 0, 90_010, 10))
    frame = gpd.GeoDataFrame({"id": ["far", "here"]}, geometry=[far, here], crs=4326)
    frame.to_parquet(tmp_path / "part-0.parquet", write_covering_bbox=True, row_group_size=1)
    prefix = store.raw / "release" / "theme=buildings" / "type=building" / ""
    store.upload(tmp_path / "part-0.parquet", prefix / "part-0.zstd.parquet")
    west, south, east, north = here.buffer(1e-4).bounds
    source = find_shapes(str(prefix), "--footprints", store)
    assert read_shapes(source, store, tmp_path, (west, south, east, north)).ids == ("here",)
    assert pq.ParquetFile(tmp_path / "part-0.parquet").num_row_groups == 2


def test_geojson_ids_of_features_are_kept_and_what_is_no_polygon_is_left_out(
    store: ObjectStore, tmp_path: Path
) -> None:
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    features = [
        {"type": "Feature", "id": "way/12", "properties": {}, "geometry": bow},
        {"type": "Feature", "id": 9, "properties": {}, "geometry": {"type": "Point", "coordinates": [0, 0]}},
    ]
    path = tmp_path / "osm.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found = read_shapes(find_shapes(str(path), "--footprints", store), store, tmp_path)
    assert (found.ids, found.skipped) == (("way/12",), 1)
    assert shapely.is_valid(found.geometries).all()


def test_a_box_is_an_area_on_both_sides_of_the_antimeridian(store: ObjectStore, tmp_path: Path) -> None:
    assert bounding_box("a/file.geojson") is None
    assert bounding_box("-94.6, 37,-94.4,37.2") == (-94.6, 37, -94.4, 37.2)
    assert len(box_polygons((179, -1, -179, 1))) == 2
    area = find_area("179.5,-17,-179.5,-16", store).read(store, tmp_path)
    assert area.bounds() == pytest.approx((179.5, -17, -179.5, -16))
    with pytest.raises(SiameseError, match="is no bounding box in degrees"):
        bounding_box("10,60,20,50")


def test_a_footprint_is_as_sure_as_its_class(tmp_path: Path) -> None:
    whole = MappedBuilding(box(4, 4, 9, 9), 0, "destroyed", 0.05, (0.1, 0.0, 0.0, 0.9), 25, 25.0)
    with BuildingWriter(
        tmp_path / "a.parquet", tmp_path / "a.geojson", Grid(None, Affine.identity(), 16, 16), "a", review_below=0.5
    ) as writer:
        writer.add(replace(whole, footprint_id="way/7"))
        writer.add(whole)
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert [row["confidence"] for row in rows] == pytest.approx([0.9, 0.045])
    assert [row["review"] for row in rows] == [False, True]
    assert [row["probability_building"] for row in rows] == pytest.approx([0.05, 0.05]), "which stays as it was told"


def test_area_and_footprints_go_through_the_verb_and_are_part_of_its_identity(
    store: ObjectStore, checkpoint: Checkpoint, files: tuple[Path, Path], tmp_path: Path
) -> None:
    pre, post = map(str, files)
    path = tmp_path / "footprints.geojson"
    shapes = degrees(box(20, 20, 44, 44), box(110, 60, 134, 84))
    gpd.GeoDataFrame({"id": ["a", "b"]}, geometry=shapes).to_file(path)
    area = ",".join(f"{one:.7f}" for one in degrees(box(0, 0, 60, 60)).total_bounds)
    network = Colours()
    plain = map_pair([pre], [post], checkpoint, SMALL, store, predictor=network)
    given = map_pair([pre], [post], checkpoint, SMALL, store, predictor=network, footprints=str(path))
    cut = map_pair([pre], [post], checkpoint, SMALL, store, predictor=network, aoi=area, event="cut")
    assert len({plain.digest, given.digest, cut.digest}) == 3
    assert (sum(given.counts.values()), sum(cut.counts.values())) == (2, 1)
    made = BuildingSet.load(store, str(given.building_set))
    assert made.footprints == 2
    prediction = Prediction.load(store, str(cut.prediction))
    assert prediction.area is not None
    assert prediction.width < SIDE
    again = map_pair([pre], [post], checkpoint, SMALL, store, predictor=network, footprints=str(path))
    assert again == given
    elsewhere = ",".join(f"{one:.6f}" for one in degrees(box(9000, 0, 9100, 60)).total_bounds)
    empty = tmp_path / "empty.geojson"
    empty.write_text('{"type": "FeatureCollection", "features": []}')
    for extra, why in (
        ({"aoi": elsewhere}, "the area of interest lies outside the images"),
        ({"aoi": str(empty)}, "holds no polygon"),
        ({"aoi": "absent.geojson"}, "there is no such file"),
        ({"footprints": str(empty)}, "no footprint lies on the images"),
        ({"footprints": str(files[0])}, "is in no known format"),
    ):
        with pytest.raises(SiameseError, match=why) as raised:
            map_pair([pre], [post], checkpoint, SMALL, store, predictor=network, **extra)
        assert "\n" not in str(raised.value)


def test_the_map_has_the_pixels_that_are_asked_for(files: tuple[Path, Path], tmp_path: Path) -> None:
    made = draw([files[0]], [files[1]], tmp_path / "out", SMALL.model_copy(update={"gsd": 1.0}))
    classes = read(made.classes)
    assert classes.shape == pytest.approx((SIDE / 2, SIDE / 2), abs=2)
    found = gpd.read_parquet(made.buildings).set_index("damage_class")
    assert found.area_m2["destroyed"] == pytest.approx(144, rel=0.1)
