"""World files, .prj and .aux.xml beside the image, on disk and on S3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from builders.made_rasters import PLACE, UTM, write
from builders.placed_scenes import (
    AUX,
    COUNTS,
    EXPECTED,
    PRJ,
    Image,
    Map,
    world,
)

from siamese.errors import SiameseError
from siamese.manifests import DamageMap
from siamese.store import ObjectStore

WORLD_AND_PRJ = {"{}.tfw": "world", "{}.prj": "prj"}


@pytest.mark.parametrize(
    ("where", "image", "beside"),
    [
        ("files", "{}.tif", WORLD_AND_PRJ),
        ("files", "{}.tif", {"{}.TFW": "world", "{}.PRJ": "prj"}),
        ("files", "{}.TIF", {"{}.tfw": "world", "{}.tif.aux.xml": "srs"}),
        ("files", "{}.tiff", {"{}.tiffw": "world", "{}.prj": "prj"}),
        ("files", "{}.tif", {"{}.wld": "world", "{}.prj": "prj"}),
        ("files", "{}.png", {"{}.pgw": "world", "{}.prj": "prj"}),
        ("files", "{}.png", {"{}.PGW": "world", "{}.png.aux.xml": "srs"}),
        ("files", "{}.png", {"{}.png.aux.xml": "aux"}),
        ("folder", "{}.tif", WORLD_AND_PRJ),
        ("glob", "{}.tif", {**WORLD_AND_PRJ, "{}.tif.aux.xml": "statistics"}),
        ("objects", "{}.tif", WORLD_AND_PRJ),
        ("objects", "{}.png", {"{}.PGW": "world", "{}.PRJ": "prj"}),
        ("prefix", "{}.png", {"{}.png.aux.xml": "aux"}),
        ("prefix", "{}.tif", {"{}.TFW": "world", "{}.prj": "prj"}),
    ],
)
def test_files_beside_an_image_place_it_on_disk_and_on_s3(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, store: ObjectStore, classes: Callable[..., Any],
    where: str, image: str, beside: dict[str, str],
) -> None:  # fmt: skip
    content = {
        "world": world(PLACE), "prj": PRJ, "aux": AUX, "srs": f"<PAMDataset><SRS>{PRJ}</SRS></PAMDataset>",
        "statistics": '<PAMDataset><PAMRasterBand band="1"/></PAMDataset>',
    }  # fmt: skip
    given = []
    for date, pixels in scene.items():
        folder, driver = tmp_path / date, "PNG" if image.endswith("png") else "GTiff"
        path = write(folder / image.format(date), pixels, crs=None, driver=driver)
        for name, kind in beside.items():
            (folder / name.format(date)).write_text(content[kind])
        (folder / "other.tfw").write_text("for another image")
        if where in ("objects", "prefix"):
            for one in folder.iterdir():
                store.upload(one, store.raw / date / one.name)
        addresses = {
            "files": path, "folder": folder, "glob": folder / f"{date}*",
            "objects": store.raw / date / path.name, "prefix": f"{store.raw}{date}/",
        }  # fmt: skip
        given.append(addresses[where])
    made = map_files(*given)
    found, transform = classes(made)
    assert (made.crs, transform) == (UTM, PLACE)
    np.testing.assert_array_equal(found, EXPECTED)
    assert "placed by a" in made.warnings[0]


def test_a_world_file_without_a_crs_says_what_is_missing(
    scene: dict[str, Image], tmp_path: Path, plain: dict[str, Path], map_files: Map, base: DamageMap
) -> None:
    paths = [write(tmp_path / f"{date}.tif", image, crs=None) for date, image in scene.items()]
    for path in paths:
        path.with_suffix(".tfw").write_text(world(PLACE))
    made = map_files(*paths)
    assert (made.crs, made.counts) == (None, COUNTS)
    assert "a world file (pre.tfw) but no CRS (put pre.prj beside it, or name the CRS with --crs" in made.warnings[0]
    placed = map_files(*paths, crs=UTM)
    assert (placed.crs, placed.bounds, placed.counts) == (UTM, base.bounds, COUNTS)
    with pytest.raises(SiameseError, match=r"pre.tif: has a world file \(pre.tfw\) but no CRS, while other images"):
        map_files(paths[0], plain["post"])


def test_a_file_that_changes_gives_another_map(scene: dict[str, Image], tmp_path: Path, map_files: Map) -> None:
    paths = [write(tmp_path / f"{date}.tif", image, crs=None) for date, image in scene.items()]
    for path in paths:
        path.with_suffix(".tfw").write_text(world(PLACE))
        path.with_suffix(".prj").write_text(PRJ)
    first = map_files(*paths)
    for path in paths:
        path.with_suffix(".tfw").write_text(world(PLACE @ Affine.translation(400, 0)))
    second = map_files(*paths)
    assert first.digest != second.digest
    assert first.bounds != second.bounds


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("pre.tfw", "1 2 3", r"pre.tfw: is no world file: it must hold six numbers"),
        ("pre.tfw", "0 0 0 0 0 0", r"pre.tfw: is no world file: its six numbers"),
        ("pre.prj", "nothing", r"pre.prj: holds no CRS"),
        ("pre.tif.aux.xml", "<PAMDataset>", r"pre.tif.aux.xml: cannot be read"),
        ("pre.tif.aux.xml", '<!DOCTYPE a [<!ENTITY b "c">]><PAMDataset/>', "defines entities"),
        ("pre.tif.aux.xml", "<PAMDataset><GeoTransform>1, 2</GeoTransform></PAMDataset>", "cannot be read"),
    ],
)
def test_a_damaged_one_is_named(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, name: str, content: str, why: str
) -> None:
    paths = [write(tmp_path / f"{date}.tif", image, crs=None) for date, image in scene.items()]
    (tmp_path / name).write_text(content)
    with pytest.raises(SiameseError, match=why) as raised:
        map_files(*paths)
    assert "\n" not in str(raised.value)
