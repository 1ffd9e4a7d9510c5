"""The verb ``map`` through its public doors: published once, copied out, and clear about bad imagery."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from builders.made_rasters import PLACE, SMALL, Colours, pair, write
from rio_cogeo import cog_validate

from siamese.cli.app import main
from siamese.errors import SiameseError
from siamese.ingest.catalog import ObjectRef, Scene
from siamese.manifests import Checkpoint, DamageMap
from siamese.mapping import map_pair, map_scene
from siamese.model import Decision, Predictor, SiameseUNet
from siamese.params import MappingParams
from siamese.store import ObjectStore, S3Uri, file_sha256

FILES = {
    *("damage.tif", "confidence.tif", "reasons.tif", "buildings.parquet", "buildings.geojson", "map.gpkg"),
    *("summary.csv", "areas.parquet", "areas.csv", "report.html", "report.pdf", "item.json", "collection.json"),
    *("picture.png", "map.json", "buildings.pmtiles", "model.json", "shifts.geojson"),
}


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A georeferenced pair with two buildings."""
    pre, post = pair(128, 128, (20, 20, 30, 30, 1), (80, 80, 20, 20, 3))
    return str(write(tmp_path / "storm_pre.tif", pre)), str(write(tmp_path / "storm_post.tif", post))


def test_real_tiles_on_two_grids_become_a_map(
    store: ObjectStore,
    make_checkpoint: Callable[..., Checkpoint],
    network: SiameseUNet,
    real_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with rasterio.open(real_data / "joplin" / "pre" / "tile_337-9136.tif") as dataset:
        sample = np.moveaxis(dataset.read(window=rasterio.windows.Window(0, 0, 512, 512)), 0, -1)
    likely = Predictor(network, Decision()).predict(sample, sample).building
    checkpoint = make_checkpoint(building=float(np.quantile(likely, 0.97)))
    for name in ("raw", "lake", "maps"):
        monkeypatch.setenv(f"SIAMESE_{name.upper()}_BUCKET", getattr(store.settings, f"{name}_bucket"))
    params = tmp_path / "params.yaml"
    params.write_text("mapping: {minimum_building_m2: 20, picture_px: 512}\n")
    words = ["map", "--pre", str(real_data / "joplin" / "pre"), "--post", str(real_data / "joplin" / "post" / "*.tif")]
    words += ["--model", checkpoint.digest, "--event", "Joplin tornado", "--params", str(params), "--json"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--out", str(tmp_path / "out")])
    assert ended.value.code == 0
    told = DamageMap.model_validate(json.loads(capfd.readouterr().out))
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert (told.crs, told.width, told.height) == ("EPSG:26915", 2048, 2048)
    with rasterio.open(tmp_path / "out" / "damage.tif") as dataset:
        classes = dataset.read(1)
        assert dataset.tags()["MODEL"] == f"checkpoint {checkpoint.digest}"
    assert cog_validate(str(tmp_path / "out" / "damage.tif"), strict=True) == (True, [], [])
    assert (classes[:200] == 255).all(), "the post tiles do not reach so far north"
    assert 0.2 < told.unknown_share < 0.9
    table = gpd.read_parquet(tmp_path / "out" / "buildings.parquet")
    assert len(table) == sum(told.counts.values()) > 20
    assert told.bounds
    west, south, east, north = table.total_bounds
    rounded = 1e-7  # of the coordinates
    assert told.bounds[0] - rounded <= west < east <= told.bounds[2] + rounded
    assert told.bounds[1] - rounded <= south < north <= told.bounds[3] + rounded
    assert DamageMap.current(store, "Joplin tornado").digest == told.digest


def test_a_map_is_made_once_and_lies_in_the_bucket_of_maps(
    store: ObjectStore, checkpoint: Checkpoint, files: tuple[str, str]
) -> None:
    network = Colours()
    made = map_pair([files[0]], [files[1]], checkpoint, SMALL, store, predictor=network)
    asked, objects = network.asked, list(store.list(store.maps))
    assert {blob.uri.split("/")[2] for blob in made.blobs()} == {store.settings.maps_bucket}
    assert (made.event, made.counts["minor_damage"], made.counts["unknown"]) == ("37.0406N_94.1241W", 1, 0)
    assert map_pair([files[0]], [files[1]], checkpoint, SMALL, store, predictor=network) == made
    assert (network.asked, list(store.list(store.maps))) == (asked, objects)
    other = map_pair([files[0]], [files[1]], checkpoint, SMALL, store, predictor=network, event="another")
    assert other.digest != made.digest
    assert not list(store.settings.cache.iterdir())


def test_the_same_imagery_on_object_storage_gives_the_same_map(
    store: ObjectStore, checkpoint: Checkpoint, files: tuple[str, str]
) -> None:
    for name in files:
        store.upload(Path(name), store.raw / "event" / Path(name).name)
    local = map_pair([files[0]], [files[1]], checkpoint, SMALL, store, predictor=Colours())
    remote = map_pair(
        [f"{store.raw}event/storm_pre.tif"], [f"{store.raw}event/storm_post.tif"], checkpoint, SMALL, store,
        predictor=Colours(),
    )  # fmt: skip
    assert remote.digest == local.digest
    with pytest.raises(SiameseError, match="the same image is given as --pre"):
        map_pair([f"{store.raw}event/"], [files[1]], checkpoint, SMALL, store, predictor=Colours())


def test_an_xbd_scene_is_placed_by_the_label_beside_it(
    store: ObjectStore, checkpoint: Checkpoint, real_data: Path, tmp_path: Path
) -> None:
    scene = "hurricane-michael_00000022"
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
        for path in (real_data / "xbd" / kind).glob(f"{scene}_*"):
            shutil.copy(path, tmp_path / kind)
    images = [str(tmp_path / "images" / f"{scene}_{date}_disaster.png") for date in ("pre", "post")]
    params = MappingParams(minimum_building_m2=1000, picture_px=256)
    placed = map_pair([images[0]], [images[1]], checkpoint, params, store, predictor=Colours())
    assert placed.event == scene
    assert placed.crs == "EPSG:32616"
    truth = gpd.GeoDataFrame.from_features(_lng_lat(tmp_path / "labels" / f"{scene}_pre_disaster.json"), crs=4326)
    assert placed.bounds
    west, south, east, north = placed.bounds
    inside = truth.geometry.representative_point().cx[west:east, south:north]
    assert len(inside) == len(truth) > 0
    assert placed.unknown_share > 0.05, "this scene has black fill"
    shutil.rmtree(tmp_path / "labels")
    pixels = map_pair([images[0]], [images[1]], checkpoint, params, store, predictor=Colours())
    assert (pixels.crs, pixels.bounds, pixels.width, pixels.height) == (None, None, 1024, 1024)


def test_a_catalogued_scene_is_mapped_out_of_its_archive(
    store: ObjectStore, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    pre, post = pair(96, 96, (20, 20, 30, 30, 1))
    paths = [write(tmp_path / name, image, crs=None, driver="PNG") for name, image in (("a.png", pre), ("b.png", post))]
    archive = b"header" + paths[0].read_bytes() + b"between" + paths[1].read_bytes()
    store.put(store.raw / "scenes.tar", archive)
    starts = 6, 6 + paths[0].stat().st_size + 7
    references = [
        ObjectRef(uri=f"{store.raw}scenes.tar", start=start, length=path.stat().st_size, sha256=file_sha256(path))
        for start, path in zip(starts, paths, strict=True)
    ]
    row = Scene(
        scene="storm_00000001", verdict="accepted", pre_image=references[0], post_image=references[1],
        crs="EPSG:4326", transform=(5e-6, 0, -94.4, 0, -5e-6, 37.1), georeference="label", identity="1",
    )  # fmt: skip
    made = map_scene(row, checkpoint, SMALL, store, predictor=Colours())
    assert (made.event, made.crs, made.counts["minor_damage"]) == ("storm_00000001", "EPSG:32615", 1)
    unplaced = row.model_copy(update={"crs": None, "transform": None, "georeference": None})
    assert map_scene(unplaced, checkpoint, SMALL, store, predictor=Colours()).crs is None
    store.client.delete_object(Bucket=store.settings.raw_bucket, Key="scenes.tar")
    assert map_scene(row, checkpoint, SMALL, store) == made, "a map that is there is found without reading an image"
    with pytest.raises(SiameseError, match="has not both images"):
        map_scene(row.model_copy(update={"post_image": None}), checkpoint, SMALL, store)


def test_bad_imagery_is_told_in_one_line(
    store: ObjectStore, checkpoint: Checkpoint, files: tuple[str, str], tmp_path: Path
) -> None:
    pre, post = files
    _, image = pair(128, 128)
    far = write(tmp_path / "far.tif", image, transform=PLACE @ Affine.translation(5000, 0))
    remote = write(tmp_path / "remote.tif", image, transform=PLACE @ Affine.translation(200_000, 200_000))
    png = write(tmp_path / "unplaced.png", image, crs=None, driver="PNG")
    large = write(tmp_path / "large.png", pair(200, 128)[1], crs=None, driver="PNG")
    grey = write(tmp_path / "grey.tif", image[..., :1])
    cut = tmp_path / "cut.tif"
    cut.write_bytes(Path(post).read_bytes()[:30_000])
    cut_png = tmp_path / "cut.png"
    cut_png.write_bytes(png.read_bytes()[:-40])
    text = tmp_path / "text.tif"
    text.write_text("nothing")
    link = tmp_path / "link.vrt"
    link.write_text(f"<VRTDataset rasterXSize='1' rasterYSize='1'><SourceFilename>{pre}</SourceFilename></VRTDataset>")
    (tmp_path / "empty").mkdir()
    for before, after, why in (
        ([pre], [str(far)], "do not overlap"),
        ([pre], [str(png)], r"unplaced.png: has no georeference"),
        ([str(png)], [post], r"unplaced.png: has no georeference"),
        ([str(png), str(png)], [str(large)], "several images cannot be placed: this one has no georeference"),
        ([str(png)], [str(large)], "must have one size: 128 x 128 px before, 128 x 200 px after"),
        ([pre], [str(grey)], "grey.tif: has 1 band, not 3"),
        ([pre], [str(cut)], "cut.tif: cannot be read"),
        ([str(png)], [str(cut_png)], "cut.png: PNG is truncated"),
        ([pre], [str(text)], "text.tif: is neither PNG nor GeoTIFF"),
        ([pre], [str(link)], "link.vrt: is neither PNG nor GeoTIFF"),
        ([pre], [str(tmp_path / "absent.tif")], "absent.tif: there is no such file"),
        ([pre], [str(tmp_path / "empty")], "empty: no PNG or GeoTIFF here"),
        ([pre], [f"{tmp_path}/*.jpg"], "no PNG or GeoTIFF here"),
        ([pre], [f"{store.raw}absent.tif"], "no PNG or GeoTIFF here"),
        ([pre], ["s3://x"], "not an S3 address"),
        ([pre, str(remote)], [post], "the pre images lie far apart"),
        ([pre], [], "--post: no image was given"),
    ):
        with pytest.raises(SiameseError, match=why) as raised:
            map_pair(before, after, checkpoint, SMALL, store, predictor=Colours())
        assert "\n" not in str(raised.value)
    assert not list(store.list(store.maps))


def test_optical_and_radar_are_told_apart(store: ObjectStore, checkpoint: Checkpoint, real_data: Path) -> None:
    pre, post = (next((real_data / "optical_sar").glob(f"*_{date}_*.tif")) for date in ("pre", "post"))
    with pytest.raises(SiameseError, match="has 1 band, not 3"):
        map_pair([str(pre)], [str(post)], checkpoint, SMALL, store)


def test_an_object_that_changes_meanwhile_is_another_map(
    store: ObjectStore, checkpoint: Checkpoint, files: tuple[str, str], tmp_path: Path
) -> None:
    address = S3Uri(store.settings.raw_bucket, "post.tif")
    store.upload(Path(files[1]), address)
    first = map_pair([files[0]], [str(address)], checkpoint, SMALL, store, predictor=Colours())
    with rasterio.open(files[1]) as source, rasterio.open(tmp_path / "darker.tif", "w", **source.profile) as darker:
        darker.write(source.read() // 2)
    store.upload(tmp_path / "darker.tif", address)
    second = map_pair([files[0]], [str(address)], checkpoint, SMALL, store, predictor=Colours())
    assert first.digest != second.digest


def _lng_lat(label: Path) -> list[dict[str, object]]:
    from shapely import from_wkt
    from shapely.geometry import mapping

    features = json.loads(label.read_text())["features"]["lng_lat"]
    return [{"type": "Feature", "properties": {}, "geometry": mapping(from_wkt(one["wkt"]))} for one in features]


def test_a_map_of_an_ensemble_says_so_and_is_another_map(
    make_checkpoint: Callable[..., Checkpoint], store: ObjectStore, files: tuple[str, str]
) -> None:
    one, two = make_checkpoint(), make_checkpoint()
    with pytest.raises(SiameseError, match="twice"):
        map_pair([files[0]], [files[1]], one, SMALL, store, further=[one])
    alone = map_pair([files[0]], [files[1]], one, SMALL, store)
    both = map_pair([files[0]], [files[1]], one, SMALL, store, further=[two])
    assert alone.digest != both.digest
    assert (both.checkpoint, both.further, alone.further) == (one.digest, (two.digest,), ())
    assert both.model == f"checkpoint {one.digest} + checkpoint {two.digest}"
