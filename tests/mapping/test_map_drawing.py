"""A drawn map: whole buildings, honest unknowns, files that other programs read."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from builders.made_rasters import GROUND, PLACE, SMALL, UTM, Colours, draw, pair, read, write
from PIL import Image as Picture
from rasterio.enums import ColorInterp
from rasterio.warp import Resampling, calculate_default_transform, reproject
from rio_cogeo import cog_validate
from shapely.geometry import box

from siamese.classes import COLOURS, UNCLASSIFIED
from siamese.errors import SiameseError
from siamese.mapping.buildings import MappedBuilding, read_buildings
from siamese.mapping.grid import Grid
from siamese.mapping.inputs import ImageFile
from siamese.mapping.mosaic import mosaic
from siamese.mapping.picture import Paper, draw_picture
from siamese.mapping.rasters import wholly_unknown
from siamese.mapping.tiles import open_tiles
from siamese.model import Decision, decide


def test_a_building_across_four_windows_is_one_building(tmp_path: Path) -> None:
    pre, post = pair(200, 200, (60, 50, 80, 90, 2), (10, 10, 5, 8, 0))
    network = Colours()
    made = draw([write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)], tmp_path, predictor=network)
    assert network.asked == 9
    assert made.counts == {"no_damage": 1, "major_damage": 1}
    found = gpd.read_parquet(made.buildings).set_index("damage_class")
    assert found.area_px.to_dict() == {"no_damage": 40, "major_damage": 7200}
    assert found.area_m2["major_damage"] == pytest.approx(1800, rel=2e-3)
    outline = found.to_crs(UTM).geometry["major_damage"]
    assert len(outline.exterior.coords) == 5, "a rectangle has four corners, wherever windows cut it"
    assert outline.bounds == pytest.approx((400_025, 4_099_930, 400_070, 4_099_970), abs=0.02)
    expected = np.zeros((200, 200), np.uint8)
    expected[60:140, 50:140], expected[10:15, 10:18] = 3, 1
    np.testing.assert_array_equal(read(made.classes), expected)


def test_a_building_has_one_class_by_the_vote_of_all_its_pixels(tmp_path: Path) -> None:
    pre, post = pair(100, 200, (20, 20, 40, 160, 1))
    post[20:60, 20:90, 1] = 175
    paths = [write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)]
    assert draw(*paths, tmp_path / "one").counts == {"minor_damage": 1}
    for weight, temperature, expected in ((3, 1, "destroyed"), (1.15, 1, "minor_damage"), (1.15, 2, "destroyed")):
        weighted = Colours(Decision(class_weights=(1, 1, 1, weight), vote_temperature=temperature))
        assert draw(*paths, tmp_path / "two", predictor=weighted).counts == {expected: 1}
    single = draw(*paths, tmp_path / "three", predictor=Colours(Decision(per_building=False)))
    assert single.counts == {"minor_damage": 1}
    assert set(np.unique(read(single.classes))) == {0, 2, 4}


def test_a_faint_patch_is_no_building_and_what_touches_grows_from_its_own_core(tmp_path: Path) -> None:
    pre, post = pair(200, 200, (60, 50, 80, 90, 2), (10, 10, 20, 20, 1))
    post[60:140, 92:140, 1] = 175
    pre[60:140, 50:140, 0] = 180  # One faint patch with two cores, over windows; columns 64 to 96 are of two windows.
    pre[61:139, 52:90, 0] = pre[61:139, 96:130, 0] = 250
    pre[10:30, 10:30, 0] = 180  # No core.
    paths = [write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)]
    assert draw(*paths, tmp_path / "all").counts == {"minor_damage": 1, "destroyed": 1}
    made = draw(*paths, tmp_path / "sure", predictor=Colours(Decision(building_peak=0.7)))
    assert made.counts == {"major_damage": 1, "destroyed": 1}
    found = gpd.read_parquet(made.buildings).set_index("damage_class")
    assert found.area_px.to_dict() == {"major_damage": 80 * 43, "destroyed": 80 * 47}
    assert found.to_crs(UTM).geometry.touches(found.to_crs(UTM).geometry.iloc[::-1], align=False).all()
    expected = np.zeros((200, 200), np.uint8)
    expected[60:140, 50:93], expected[60:140, 93:140] = 3, 4
    np.testing.assert_array_equal(read(made.classes), expected)


@pytest.mark.parametrize("tile", [64, 96, 320])
def test_a_map_is_what_its_prediction_is_decided_to_be_however_it_is_cut(tmp_path: Path, tile: int) -> None:
    rng = np.random.default_rng(5)
    noise = np.repeat(np.repeat(rng.random((40, 50)), 6, 0), 6, 1)
    pre, post = pair(240, 300)
    pre[..., 0] = np.select([noise > 0.8, noise > 0.4], [250, 190], GROUND)
    post[..., 1] = np.repeat(np.repeat(rng.integers(0, 200, (40, 50)), 6, 0), 6, 1)
    network = Colours(Decision(building_peak=0.7, growth_px=7, class_weights=(1, 2, 2, 1.4)))
    expected = decide(network.predict(pre, post), network.decision)
    params = SMALL.model_copy(update={"tile_px": tile, "overlap_px": 0, "simplify_px": 0.0})
    paths = [write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)]
    made = draw(*paths, tmp_path, params, network)
    np.testing.assert_array_equal(read(made.classes), expected.classes)
    found = gpd.read_parquet(made.buildings)
    assert sorted(found.area_px) == sorted(np.bincount(expected.buildings.ravel())[1:])
    assert len(found) == expected.buildings.max() > 100


def test_ground_that_one_date_does_not_show_is_unknown_and_so_is_what_touches_it(tmp_path: Path) -> None:
    pre, post = pair(150, 150, (10, 10, 20, 20, 1), (60, 80, 20, 20, 0), (120, 120, 10, 10, 3), (30, 101, 9, 9, 0))
    shown = np.ones((150, 150), bool)
    shown[:, 90:] = False
    files = {
        "nodata": write(tmp_path / "nodata.tif", np.where(shown[..., None], post, 7).astype(np.uint8), nodata=7),
        "mask": write(tmp_path / "mask.tif", post, mask=shown),
        "alpha": write(tmp_path / "alpha.tif", np.dstack([post, np.where(shown, 255, 0)]).astype(np.uint8)),
        "black": write(tmp_path / "black.tif", np.where(shown[..., None], post, 0).astype(np.uint8)),
        "cut": write(tmp_path / "cut.tif", post[:, :90]),
    }
    before = write(tmp_path / "pre.tif", pre)
    for name, after in files.items():
        made = draw([before], [after], tmp_path / name)
        assert made.counts == {"minor_damage": 1, "unknown": 3}, name
        classes = read(made.classes)
        assert (classes[:, 90:] == 255).all(), name
        assert (classes[60:80, 80:90] == 255).all(), name
        assert (classes[10:30, 10:30] == 2).all(), name
        assert made.unknown_share == pytest.approx((classes == 255).mean())
        unknown = gpd.read_parquet(made.buildings).set_index("damage_class").loc["unknown"]
        assert unknown.confidence.isna().all()
        assert unknown.probability_no_damage.isna().all()
        half = [one for one in read_buildings(made.table) if one.outline.bounds[0] == 80]
        assert [(one.unknown_share, one.reasons) for one in half] == [(0.5, "one_date")], name


def test_where_the_pre_image_shows_nothing_the_map_is_unknown_too(tmp_path: Path) -> None:
    pre, post = pair(120, 120, (10, 10, 20, 20, 1))
    pre[:, 60:] = 0
    made = draw([write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)], tmp_path)
    assert (read(made.classes)[:, 60:] == 255).all()
    assert made.counts == {"minor_damage": 1}


def test_small_black_spots_are_shadows_and_not_missing(tmp_path: Path) -> None:
    pre, post = pair(100, 100, (10, 10, 20, 20, 0))
    post[40:46, 40:80] = 0
    made = draw([write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)], tmp_path)
    assert made.unknown_share == 0


def test_tiles_on_other_grids_are_brought_onto_one(tmp_path: Path) -> None:
    pre, post = pair(180, 180, (40, 30, 60, 60, 3), (120, 120, 30, 30, 1))
    before = [
        write(
            tmp_path / f"pre-{row}-{col}.tif",
            pre[row : row + 90, col : col + 90],
            transform=PLACE @ Affine.translation(col, row),
        )
        for row in (0, 90)
        for col in (0, 90)
    ]
    place, width, height = calculate_default_transform(UTM, "EPSG:4326", 180, 180, *Grid(UTM, PLACE, 180, 180).bounds)
    warped = np.zeros((3, height, width), np.uint8)
    reproject(
        np.moveaxis(post, -1, 0), warped, src_crs=UTM, src_transform=PLACE, dst_crs="EPSG:4326", dst_transform=place,
        resampling=Resampling.nearest,
    )  # fmt: skip
    half = width // 2
    after = [
        write(tmp_path / f"post-{start}.tif", np.moveaxis(warped[:, :, start:stop], 0, -1), crs="EPSG:4326",
              transform=place @ Affine.translation(start, 0))
        for start, stop in ((0, half), (half, width))
    ]  # fmt: skip
    made = draw(before, after, tmp_path / "map")
    with rasterio.open(made.classes) as dataset:
        assert (dataset.crs.to_string(), dataset.transform, dataset.shape) == (UTM, PLACE, (180, 180))
    classes = read(made.classes)
    expected = np.zeros((180, 180), np.uint8)
    expected[40:100, 30:90], expected[120:150, 120:150] = 4, 2
    seen = classes != 255
    assert seen.mean() > 0.95
    np.testing.assert_array_equal(classes[seen], expected[seen])
    assert made.counts == {"destroyed": 1, "minor_damage": 1}


def test_a_pre_image_in_degrees_is_mapped_in_utm(tmp_path: Path) -> None:
    pre, post = pair(150, 150, (50, 40, 60, 60, 3))
    place = Affine(6e-6, 0, -94.4, 0, -5e-6, 37.1)
    paths = [
        [write(tmp_path / name, image, crs="EPSG:4326", transform=place)]
        for name, image in (("a.tif", pre), ("b.tif", post))
    ]
    made = draw(*paths, tmp_path)
    with rasterio.open(made.classes) as dataset:
        assert dataset.crs.to_string() == UTM
        assert dataset.res[0] == pytest.approx(dataset.res[1])
        assert 0.5 < dataset.res[0] < 0.6
    (building,) = gpd.read_parquet(made.buildings).itertuples()
    metres = 60 * 6e-6 * 111_320 * np.cos(np.radians(37.1)) * 60 * 5e-6 * 110_980
    assert building.area_m2 == pytest.approx(metres, rel=0.03)
    assert building.geometry.bounds == pytest.approx((-94.39976, 37.09945, -94.3994, 37.09975), abs=1e-5)


def test_square_metres_are_those_of_the_ground_whatever_the_crs_says(tmp_path: Path) -> None:
    pre, post = pair(100, 100, (20, 20, 40, 40, 0))
    place = Affine(1, 0, -10_500_000, 0, -1, 5_000_000)  # at 41 degrees a unit of Web Mercator is .755 m
    paths = [
        [write(tmp_path / name, image, crs="EPSG:3857", transform=place)]
        for name, image in (("a.tif", pre), ("b.tif", post))
    ]
    (building,) = gpd.read_parquet(draw(*paths, tmp_path).buildings).itertuples()
    assert building.area_m2 == pytest.approx(1600 * 0.5706, rel=0.01)


def test_small_components_are_dropped_everywhere(tmp_path: Path) -> None:
    pre, post = pair(100, 100, (10, 10, 3, 3, 0), (40, 40, 10, 10, 1))
    params = SMALL.model_copy(update={"minimum_building_m2": 4.0, "minimum_building_px": 10})
    ground = draw([write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)], tmp_path / "one", params)
    pixels = draw(
        [write(tmp_path / "a.png", pre, crs=None, driver="PNG")],
        [write(tmp_path / "b.png", post, crs=None, driver="PNG")],
        tmp_path / "two",
        params,
    )
    for made in (ground, pixels):
        assert made.counts == {"minor_damage": 1}
        assert set(np.unique(read(made.classes))) == {0, 2}


def test_without_georeference_everything_is_in_pixels_and_says_so(tmp_path: Path) -> None:
    pre, post = pair(120, 160, (30, 50, 20, 40, 2))
    paths = [
        [write(tmp_path / name, image, crs=None, driver="PNG")] for name, image in (("a.png", pre), ("b.png", post))
    ]
    made = draw(*paths, tmp_path)
    (building,) = gpd.read_parquet(made.buildings).itertuples()
    assert building.geometry.bounds == (50, 30, 90, 50)
    assert (building.id, building.area_px, np.isnan(building.area_m2)) == ("row000030col000050", 800, True)
    told = json.loads(made.geojson.read_text())
    assert "pixels" in told["coordinates"]
    assert told["features"][0]["properties"]["area_m2"] is None
    with rasterio.open(made.classes) as dataset:
        assert dataset.crs is None
        assert "pixels" in dataset.tags()["COORDINATES"]


def test_the_files_are_what_other_programs_expect(tmp_path: Path) -> None:
    pre, post = pair(700, 700, (100, 100, 50, 60, 0), (300, 300, 40, 40, 3))
    made = draw([write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)], tmp_path)
    assert cog_validate(str(made.classes), strict=True) == (True, [], [])
    with rasterio.open(made.classes) as dataset:
        assert (dataset.dtypes, dataset.nodata, dataset.overviews(1)) == (("uint8",), 255, [2])
        assert dataset.colormap(1)[4][:3] == COLOURS["destroyed"]
        assert dataset.colormap(1)[255][:3] == COLOURS["unknown"]
        assert dataset.tags()["CLASS_2"] == "minor_damage"
    table = gpd.read_parquet(made.buildings)
    assert table.crs.to_epsg() == 4326
    assert table.geometry.is_valid.all()
    told = gpd.read_file(made.geojson)
    assert sorted(told["id"]) == sorted(table["id"])
    for column in ("probability_no_damage", "probability_destroyed", "probability_building", "confidence"):
        assert table[column].between(0, 1).all()
    damage = table[[name for name in table.columns if name.startswith("probability_") and "building" not in name]]
    np.testing.assert_allclose(damage.sum(axis=1), 1, atol=1e-5)
    assert told.geometry.geom_equals_exact(table.set_index("id").loc[told["id"]].geometry, 1e-6, align=False).all()


def test_ids_stay_whatever_else_is_mapped(tmp_path: Path) -> None:
    pre, post = pair(200, 200, (60, 50, 30, 40, 2), (150, 150, 12, 12, 0))
    whole = draw([write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)], tmp_path / "one")
    moved = PLACE @ Affine.translation(40, 40)
    part = draw(
        [write(tmp_path / "c.tif", pre[40:120, 40:120], transform=moved)], [tmp_path / "b.tif"], tmp_path / "two"
    )
    one, two = (set(gpd.read_parquet(made.buildings)["id"]) for made in (whole, part))
    assert len(one) == 2
    assert two < one


def test_a_map_without_buildings_is_a_map(tmp_path: Path) -> None:
    pre, post = pair(100, 100)
    made = draw([write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)], tmp_path)
    assert made.counts == {}
    assert len(gpd.read_parquet(made.buildings)) == 0
    assert json.loads(made.geojson.read_text())["features"] == []
    assert (read(made.classes) == 0).all()


def test_wide_integers_become_8_bits_the_same_on_every_tile(tmp_path: Path) -> None:
    pre, post = pair(160, 160, (20, 20, 30, 30, 3), (20, 110, 20, 40, 1))
    places = [PLACE @ Affine.translation(col, 0) for col in (0, 80)]
    narrow = [write(tmp_path / "a.tif", pre.astype(np.int16))]
    wide = [
        write(
            tmp_path / f"b{number}.tif", post[:, 80 * number : 80 * number + 80].astype(np.uint16) * 8, transform=place
        )
        for number, place in enumerate(places)
    ]
    before, after = (mosaic(open_tiles([image(path) for path in paths], tmp_path), UTM) for paths in (narrow, wide))
    grid = Grid(UTM, PLACE, 160, 160)
    np.testing.assert_array_equal(before.read(grid)[0], pre)
    # One range for all tiles of the date: from 0 to the brightest value, as so few levels show no step of 8 bits.
    stretched = after.read(grid)[0]
    np.testing.assert_array_equal(stretched, np.round(post / post.max() * 255).astype(np.uint8))


def test_radar_after_colour_is_mapped_and_its_nodata_is_unknown(tmp_path: Path) -> None:
    pre, post = pair(160, 160, (20, 20, 30, 30, 3), (20, 110, 20, 40, 1), (100, 20, 30, 30, 0))
    radar = post[..., 1:2]
    radar[90:140, 10:60] = 0
    paths = [write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", radar, nodata=0)]
    made = draw(*paths, tmp_path, predictor=Colours(bands=(3, 1)))
    assert made.counts == {"destroyed": 1, "minor_damage": 1, "unknown": 1}, "one is seen before alone"
    classes = read(made.classes)
    assert ((classes == UNCLASSIFIED) == (radar[..., 0] == 0)).all()
    (tile,) = open_tiles([image(paths[1][0])], tmp_path, 1)
    drawn = draw_picture(
        Grid(UTM, PLACE, 160, 160),
        mosaic([tile], UTM),
        write(tmp_path / "none.tif", np.zeros_like(radar)),
        (),
        {},
        160,
        event="e",
        model="m",
    )
    (tmp_path / "picture.png").write_bytes(drawn)
    with Picture.open(tmp_path / "picture.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(2**24) or []}
    assert colours >= {(value, value, value) for value in np.unique(radar).tolist()}


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_as_many_bands_are_read_as_the_network_takes(tmp_path: Path, dtype: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 5)).astype(dtype)
    five = write(tmp_path / "five.tif", pixels, photometric="minisblack", alpha="no")
    grid = Grid(UTM, PLACE, 48, 40)
    for bands in range(1, 6):
        read_all = mosaic(open_tiles([image(five)], tmp_path, bands), UTM).read(grid)[0]
        np.testing.assert_array_equal(read_all, pixels[..., :bands])
    aside = grid.window(0, 0, 40, 48), Grid(UTM, PLACE @ Affine.translation(0.5, 0.5), 47, 39)
    for bands, part in zip((5, 2), aside, strict=True):
        tiles = open_tiles([image(five)], tmp_path, bands)
        assert mosaic(tiles, UTM).read(part)[0].shape == (part.height, part.width, bands)
    with pytest.raises(SiameseError, match=r"five.tif: has 5 bands, not 6"):
        open_tiles([image(five)], tmp_path, 6)


def test_alpha_is_no_band_and_colours_are_found_by_their_names(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (40, 48, 4), np.uint8)
    named = write(tmp_path / "rgba.tif", pixels)
    with rasterio.open(named, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.alpha]
    assert open_tiles([image(named)], tmp_path, 3)[0].bands == (3, 2, 1)
    assert open_tiles([image(named)], tmp_path, 2)[0].bands == (1, 2)
    with pytest.raises(SiameseError, match=r"rgba.tif: has 3 bands, not 4"):
        open_tiles([image(named)], tmp_path, 4)


def test_a_large_png_is_read_in_windows(tmp_path: Path) -> None:
    pixels = np.zeros((4200, 4100, 3), np.uint8)
    pixels[..., 1] = np.arange(4200)[:, None] % 251 + 1
    path = write(tmp_path / "a.png", pixels, crs=None, driver="PNG")
    (tile,) = open_tiles([image(path)], tmp_path)
    assert tile.path != path
    grid = Grid(None, Affine.identity(), 4100, 4200).window(4000, 3000, 200, 1100)
    found, seen = mosaic([tile], None).read(grid)
    np.testing.assert_array_equal(found, pixels[4000:4200, 3000:4100])
    assert seen.all()


def test_memory_does_not_grow_with_the_area(tmp_path: Path) -> None:
    # In a process of its own, since the threads of other tests allocate too; and without AWS settings, for which
    # rasterio makes a boto3 session whenever it looks for outlines: much garbage where windows are as small as here.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=forget_storage) as alone:
        small, tall, wide = (
            alone.submit(peak_bytes, tmp_path, *size).result() for size in ((384, 192), (384 * 8, 192), (384, 192 * 8))
        )
    assert tall < 1.5 * small, f"8 times the height took {tall / small:.2f} times the memory"
    assert wide < 1.5 * small, f"8 times the width took {wide / small:.2f} times the memory"


def forget_storage() -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ.pop(name, None)


def peak_bytes(folder: Path, height: int, width: int) -> int:
    """Most bytes that Python and numpy held at once while a map of this size was drawn."""
    places = ((row, col) for row in range(20, height - 30, 60) for col in range(20, width - 30, 160))
    pre, post = pair(height, width, *((row, col, 12, 14, 1) for row, col in places))
    name = f"{height}x{width}"
    paths = [write(folder / f"a{name}.tif", pre)], [write(folder / f"b{name}.tif", post)]
    draw(*paths, folder / "warm")  # imports, and buffers that stay
    tracemalloc.start()
    draw(*paths, folder / name)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_a_picture_shows_every_class_and_any_title(tmp_path: Path) -> None:
    pre, post = pair(300, 400, *((40, 20 + 90 * number, 60, 60, number) for number in range(4)))
    made = draw([write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)], tmp_path)
    tiles = open_tiles([image(tmp_path / "b.tif")], tmp_path)
    for longer in (256, 1600):
        grid = Grid(UTM, PLACE, 400, 300)
        data = draw_picture(
            grid,
            mosaic(tiles, UTM),
            made.classes,
            read_buildings(made.table),
            made.counts,
            longer,
            event="a $title_ with {marks",
            model="v1",
        )
        (tmp_path / "picture.png").write_bytes(data)
        with Picture.open(tmp_path / "picture.png") as picture:
            colours = {colour for _, colour in picture.convert("RGB").getcolors(2**24) or []}
        assert colours >= {COLOURS[name] for name in ("no_damage", "minor_damage", "major_damage", "destroyed")}


def test_no_building_is_lost_in_a_smaller_picture(tmp_path: Path) -> None:
    classes = np.zeros((1000, 1000), np.uint8)
    classes[:, 900:] = UNCLASSIFIED
    path = write(tmp_path / "c.tif", classes[..., None])
    small = wholly_unknown(path, 10, 10)
    assert small[:, 9].all()
    assert not small[:, :9].any()
    # One pixel each, side by side; and one that touches ground which is unknown.
    buildings = [
        building(200, 500, "no_damage"),
        building(200, 501, "destroyed"),
        building(200, 502, "unknown"),
        building(100, 950, "major_damage"),
    ]
    drawn = draw_picture(Grid(UTM, PLACE, 1000, 1000), Paper(), path, buildings, {}, 100, event="e", model="m")
    (tmp_path / "picture.png").write_bytes(drawn)
    with Picture.open(tmp_path / "picture.png") as picture:
        seen = Counter(picture.convert("RGB").getdata())
    # The legend shows each colour as often as any other.
    legend = seen[COLOURS["minor_damage"]]
    assert seen[COLOURS["destroyed"]] == legend + 1
    assert seen[COLOURS["major_damage"]] == legend + 1
    assert seen[COLOURS["no_damage"]] == legend


def building(row: int, col: int, damage_class: str) -> MappedBuilding:
    """A building of one pixel."""
    return MappedBuilding(box(col, row, col + 1, row + 1), 0, damage_class, 1.0, (0.25,) * 4, 1, 1.0)


def image(path: Path) -> ImageFile:
    """A file as the verb sees it."""
    return ImageFile(path, path.name, path.name)
