"""Pairs, evaluation and maps see the same: one scene brought through both ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from affine import Affine
from builders.made_rasters import PLACE, SMALL, UTM, Colours, pair, read, write
from PIL import Image as Picture
from shapely import box

from siamese.errors import SiameseError
from siamese.evaluation import evaluate
from siamese.geo import decode_image, open_raster
from siamese.ingest import ingest, read_catalog
from siamese.ingest.catalog import Scene
from siamese.manifests import Checkpoint, DamageMap
from siamese.mapping import map_pair, map_scene
from siamese.model import Decision, Predictor, SiameseUNet
from siamese.pairs import PairReader, build_pairs
from siamese.params import EvaluationParams, IngestParams, MappingParams, PairsParams
from siamese.store import ObjectStore, S3Uri

HEIGHT, WIDTH = 160, 192
NAME = "quake_00000001"
WHOLE = MappingParams(tile_px=256, overlap_px=32, minimum_building_m2=0, minimum_building_px=0)
PAIRS = PairsParams(val_share=0, test_share=0, block_px=64, split="scene")


def picture(seed: int) -> np.ndarray:
    """Noise of 8 bits with all levels."""
    rng = np.random.default_rng(seed)
    small = rng.integers(30, 226, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    image = cv2.resize(small, (WIDTH, HEIGHT)).astype(int) + rng.integers(-25, 25, (HEIGHT, WIDTH, 3))
    image[0, :, 0] = np.linspace(1, 255, WIDTH)
    return np.clip(image, 1, 255).astype(np.uint8)


def bring(store: ObjectStore, images: dict[str, bytes], suffix: str, name: str = NAME) -> Scene:
    """Ingests one labelled scene."""
    root = store.raw / "in" / name
    for date, data in images.items():
        features: dict[str, list[object]] = {"xy": [], "lng_lat": []}
        for number, corner in enumerate(((10, 20), (90, 60), (60, 100))):
            properties = {"feature_type": "building", "uid": str(number)}
            if date == "post":
                properties["subtype"] = ("no-damage", "destroyed", "un-classified")[number]
            shape = box(*corner, corner[0] + 30, corner[1] + 25)
            features["xy"].append({"properties": properties, "wkt": shape.wkt})
            # All in one place, which gives no georeference: so the map lies on the image's own pixels.
            features["lng_lat"].append({"properties": properties, "wkt": box(10, 10, 10.01, 10.01).wkt})
        metadata = {"disaster": "quake", "disaster_type": "wind", "width": WIDTH, "height": HEIGHT}
        metadata["img_name"] = f"{name}_{date}_disaster.png"
        label = json.dumps({"features": features, "metadata": metadata}).encode()
        store.put(root / "images" / f"{name}_{date}_disaster.{suffix}", data)
        store.put(root / "labels" / f"{name}_{date}_disaster.json", label)
    (row,) = read_catalog(store, ingest(root, IngestParams(), store))
    return row


def png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1])


def classes_of(made: DamageMap, store: ObjectStore, folder: Path) -> np.ndarray:
    store.download(S3Uri.parse(made.classes.uri), folder / f"{made.digest}.tif")
    return read(folder / f"{made.digest}.tif")


def test_a_scene_with_fill_is_the_same_in_pairs_evaluation_and_map(
    store: ObjectStore, make_checkpoint: Callable[..., Checkpoint], network: SiameseUNet, tmp_path: Path
) -> None:
    pre, post = picture(1), picture(2)
    pre[:, :2] = post[120:, 130:] = post[:20, :40] = 0
    unseen = np.zeros((HEIGHT, WIDTH), bool)
    unseen[:, :2] = unseen[120:, 130:] = unseen[:20, :40] = True
    row = bring(store, {"pre": png(pre), "post": png(post)}, "png")
    assert row.verdict == "accepted", row.reasons
    pairs = build_pairs(ingest(store.raw / "in" / NAME, IngestParams(), store), PAIRS, store)

    reader = PairReader(store, pairs, cache=None)
    before, after, mask = reader.whole(NAME)
    for date, pixels in (("pre", before), ("post", after)):
        (tmp_path / f"{date}.png").write_bytes(png(pre if date == "pre" else post))
        raster = open_raster(tmp_path / f"{date}.png", date, tmp_path, 3)
        mapped, valid = raster.read(0, 0, WIDTH, HEIGHT)
        np.testing.assert_array_equal(mapped, pixels)
        assert (mask[~valid] == 255).all()
    np.testing.assert_array_equal(reader.unseen(NAME), unseen)
    assert (mask[100:125, 60:90] == 255).all(), "an un-classified building is seen, and ignored too"
    assert not any(target[unseen].any() for target in reader.targets(NAME))

    inner = np.s_[40:110, 50:120]  # far from fill, where an untrained network sees most
    likely = np.quantile(Predictor(network, Decision()).predict(before, after).building[inner], 0.9)
    checkpoint = make_checkpoint(building=float(likely))
    evaluate(
        checkpoint, pairs, EvaluationParams(split="train", resamples=10), store, predictions=tmp_path / "evaluated"
    )
    (path,) = (tmp_path / "evaluated").glob("test_damage_*_prediction.png")
    evaluated = np.asarray(Picture.open(path))
    made = map_scene(row, checkpoint, WHOLE, store)
    assert made.crs is None
    classes = classes_of(made, store, tmp_path)
    assert (evaluated[unseen] == 0).all()
    assert (classes[unseen] == 255).all()
    known = classes != 255
    np.testing.assert_array_equal(classes[known], evaluated[known])
    assert (evaluated[~known & ~unseen] > 0).all(), "beside fill only buildings that touch it are unknown"
    assert known.mean() > 0.5
    assert (evaluated[known] > 0).any()


@pytest.mark.parametrize("kind", ["palette", "uint16", "reflectance"])
def test_other_kinds_of_files_go_through_every_verb_and_give_one_map(
    store: ObjectStore, checkpoint: Checkpoint, tmp_path: Path, kind: str
) -> None:
    images = {}
    for seed, date in enumerate(("pre", "post")):
        plain = picture(seed)
        if kind == "palette":
            quantized = Picture.fromarray(plain).quantize(255)
            plain = np.asarray(quantized.convert("RGB"))
            path = write(tmp_path / f"{date}.tif", np.asarray(quantized)[..., None], photometric="palette")
            colours = np.asarray(quantized.getpalette()).reshape(-1, 3)
            with rasterio.open(path, "r+") as dataset:
                dataset.write_colormap(1, {i: (*map(int, colour), 255) for i, colour in enumerate(colours)})
        elif kind == "uint16":
            write(tmp_path / f"{date}.tif", plain.astype(np.uint16) * 8)
        else:
            values = plain.astype(np.float32) / 255
            values[:40, :40] = np.nan
            plain[:40, :40] = 0
            write(tmp_path / f"{date}.tif", values, nodata=float("nan"))
        images[date] = (tmp_path / f"{date}.tif").read_bytes()
        write(tmp_path / "plain" / f"{date}.tif", plain)
    row = bring(store, images, "tif")
    assert (row.verdict, row.bands) == ("accepted", 3)
    assert len(row.notes) == (0 if kind == "palette" else 2), "what was assumed of the values is told"
    pairs = build_pairs(ingest(store.raw / "in" / NAME, IngestParams(), store), PAIRS, store)
    both = PairReader(store, pairs, cache=None).whole(NAME)
    made = []
    for folder in (tmp_path, tmp_path / "plain"):
        made.append(map_pair([str(folder / "pre.tif")], [str(folder / "post.tif")], checkpoint, WHOLE, store))
        for date, pixels in zip(("pre", "post"), both, strict=False):
            raster = open_raster(folder / f"{date}.tif", date, tmp_path, 3)
            np.testing.assert_array_equal(raster.read(0, 0, WIDTH, HEIGHT)[0], pixels)
    assert made[0].counts == made[1].counts
    one, other = (classes_of(each, store, tmp_path) for each in made)
    np.testing.assert_array_equal(one, other)
    assert (one == 255).any() == (kind == "reflectance")


def test_scenes_as_one_mosaic_give_the_map_that_each_gives_alone(
    store: ObjectStore, make_checkpoint: Callable[..., Checkpoint], network: SiameseUNet, tmp_path: Path
) -> None:
    rows, columns, side = 2, 2, 128
    scenes = {}
    for number in range(rows * columns):
        place = PLACE @ Affine.translation(side * (number % columns), side * (number // columns))
        for date in ("pre", "post"):
            image = picture(10 * number + (date == "post"))[:side, :side].copy()
            if number == 1:
                image[:, 100:] = 0
            scenes[number, date] = write(tmp_path / date / f"scene{number}.tif", image, transform=place)
    whole = decode_image(scenes[0, "pre"].read_bytes(), "pre", max_side_px=side).pixels
    threshold = float(np.quantile(Predictor(network, Decision()).predict(whole, whole).building, 0.9))
    checkpoint = make_checkpoint(building=threshold)
    params = MappingParams(tile_px=192, overlap_px=64, minimum_building_m2=0, minimum_building_px=0)
    together = map_pair([str(tmp_path / "pre")], [str(tmp_path / "post")], checkpoint, params, store, event="all")
    mosaic = classes_of(together, store, tmp_path)
    assert mosaic.shape == (rows * side, columns * side)
    margin, same, seen = 40, 0, 0
    for number in range(rows * columns):
        paths = ([str(scenes[number, date])] for date in ("pre", "post"))
        alone = classes_of(map_pair(*paths, checkpoint, params, store, event=f"{number}"), store, tmp_path)
        top, left = side * (number // columns), side * (number % columns)
        part = mosaic[top : top + side, left : left + side]
        np.testing.assert_array_equal(part == 255, alone == 255) if number != 1 else None
        inner = np.s_[margin : side - margin, margin : side - margin]
        same += int((part[inner] == alone[inner]).sum())
        seen += part[inner].size
    assert same / seen > 0.97


def test_the_same_image_on_both_dates_is_refused_and_swapped_dates_are_told(
    store: ObjectStore, checkpoint: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, after = pair(96, 96, (20, 20, 30, 30, 1))
    pre = write(tmp_path / "storm_2018-10-13_post.tif", before)
    post = write(tmp_path / "storm_2018-09-01_pre.tif", after)
    copy = tmp_path / "copy.tif"
    copy.write_bytes(pre.read_bytes())
    for one, other in ((pre, pre), (pre, copy)):
        with pytest.raises(SiameseError, match=r"the same image is given as --pre.* and --post") as raised:
            map_pair([str(one)], [str(other)], checkpoint, SMALL, store, predictor=Colours())
        assert "\n" not in str(raised.value)
    with pytest.raises(SiameseError, match="the same image"):
        map_pair([f"{tmp_path}/*.tif"], [f"{tmp_path}/*.tif"], checkpoint, SMALL, store, predictor=Colours())
    assert map_pair([str(pre)], [str(post)], checkpoint, SMALL, store, predictor=Colours()).crs == UTM
    assert "given as pre, but named post" in caplog.text
    assert "by their names the pre image" in caplog.text


def test_a_scene_of_one_image_twice_is_quarantined(store: ObjectStore) -> None:
    row = bring(store, {date: png(picture(1)) for date in ("pre", "post")}, "png", "quake_00000002")
    assert row.reasons == ("pre and post image are the same, byte for byte",)


def test_a_picture_of_a_large_image_without_a_place_shows_all_of_it(tmp_path: Path) -> None:
    from siamese.mapping.grid import Grid
    from siamese.mapping.mosaic import mosaic

    image = np.full((300, 400, 3), 50, np.uint8)
    image[150:, 200:] = 200
    raster = open_raster(write(tmp_path / "a.png", image, crs=None, driver="PNG"), "a.png", tmp_path)
    pixels, seen = mosaic([raster], None).read(Grid(None, Affine.identity(), 400, 300).coarser(4))
    assert seen.all()
    assert (pixels[:36, :48] == 50).all()
    assert (pixels[40:, 52:] == 200).all()
