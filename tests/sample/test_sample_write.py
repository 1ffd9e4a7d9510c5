"""The folder that ``siamese sample`` writes: layout, schema, bytes, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rasterio
import shapely
from waiting import until

from siamese.classes import SUBTYPES
from siamese.errors import SiameseError
from siamese.ingest.labels import parse_label
from siamese.params import SampleParams
from siamese.sample import write_imagery, write_sample

SCENES = SampleParams(scenes=4, seed=1)
NAME = re.compile(r"^[a-z0-9-]+_\d{8}_(pre|post)_disaster\.(png|json)$")


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "set"
    write_sample(folder, SCENES)
    return folder


def keys(value: object) -> object:
    if isinstance(value, dict):
        return {name: keys(inner) for name, inner in value.items()}
    return [keys(value[0])] if isinstance(value, list) and value else type(value).__name__


def test_every_file_is_named_and_shaped_as_in_xbd(folder: Path) -> None:
    names = [path.name for path in folder.rglob("*") if path.is_file()]
    assert len(names) == 4 * 4
    assert all(NAME.match(name) for name in names)
    for path in (folder / "images").iterdir():
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert image.shape == (1024, 1024, 3)
        assert image.dtype == np.uint8


@pytest.mark.parametrize("when", ["pre", "post"])
def test_labels_have_the_keys_and_types_of_real_ones(folder: Path, real_data: Path, when: str) -> None:
    made = [json.loads(path.read_bytes()) for path in (folder / "labels").glob(f"*_{when}_disaster.json")]
    real = json.loads((real_data / "xbd/labels" / f"joplin-tornado_00000001_{when}_disaster.json").read_bytes())
    built = [label for label in made if label["features"]["xy"]]
    assert built
    for label in built:
        assert keys(label) == keys(real)
    for label in made:
        if label not in built:
            assert label["features"] == {"lng_lat": [], "xy": []}


def test_ingest_reads_the_labels_and_both_dates_agree(folder: Path) -> None:
    for path in (folder / "labels").glob("*_pre_disaster.json"):
        after = path.with_name(path.name.replace("_pre_", "_post_"))
        pre, post = (
            parse_label(each.read_bytes(), each.name, width=1024, height=1024, max_vertices=1000)
            for each in (path, after)
        )
        assert [building.uid for building in pre.buildings] == [building.uid for building in post.buildings]
        for one, other in zip(pre.buildings, post.buildings, strict=True):
            assert one.subtype is None
            assert other.subtype in SUBTYPES
            assert one.pixels.equals(other.pixels)


def test_pixels_map_to_degrees_by_one_affine_at_half_a_metre(folder: Path) -> None:
    for path in (folder / "labels").glob("*_post_disaster.json"):
        features = json.loads(path.read_bytes())["features"]
        if not features["xy"]:
            continue
        pixels, degrees = (
            np.vstack([shapely.get_coordinates(shapely.from_wkt(each["wkt"])) for each in features[name]])
            for name in ("xy", "lng_lat")
        )
        terms = np.c_[pixels, np.ones(len(pixels))]
        fit, *_ = np.linalg.lstsq(terms, degrees, rcond=None)
        per_pixel = np.abs(fit[1, 1]) * 111_320
        assert np.abs(terms @ fit - degrees).max() * 111_320 / per_pixel < 0.02
        assert per_pixel == pytest.approx(0.46, abs=0.01)
        assert fit[0, 0] > 0 > fit[1, 1]
        assert pixels.min() >= 0
        assert pixels.max() <= 1024


def test_same_params_same_bytes_and_a_scene_does_not_depend_on_how_many(folder: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "fewer", SCENES.model_copy(update={"scenes": 2}))
    fewer, all_ = digests(tmp_path / "fewer"), digests(folder)
    assert len(fewer) == 8
    assert fewer.items() <= all_.items()
    write_sample(tmp_path / "other", SCENES.model_copy(update={"scenes": 2, "seed": 2}))
    assert not set(digests(tmp_path / "other").values()) & set(all_.values())


def test_running_again_makes_only_what_is_missing(folder: Path) -> None:
    first = digests(folder)
    counted = write_sample(folder, SCENES)
    assert counted.written == 0
    sorted((folder / "labels").iterdir())[0].unlink()
    again = write_sample(folder, SCENES)
    assert again.written == 1
    assert digests(folder) == first
    assert again.buildings == counted.buildings


def test_the_summary_counts_what_the_labels_hold(folder: Path) -> None:
    held = [
        [each["properties"]["subtype"] for each in json.loads(path.read_bytes())["features"]["xy"]]
        for path in (folder / "labels").glob("*_post_disaster.json")
    ]
    told = write_sample(folder, SCENES)
    assert told.scenes == 4
    assert told.empty == sum(not subtypes for subtypes in held)
    assert told.buildings == {name: sum(subtypes.count(name) for subtypes in held) for name in SUBTYPES}


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SiameseError, match=r"thesis\.txt"):
        write_sample(tmp_path, SCENES)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("change", [{"seed": 2}, {"event": "fire"}, {"scenes": 2}])
def test_a_folder_of_another_sample_is_refused(folder: Path, change: dict[str, Any]) -> None:
    before = digests(folder)
    with pytest.raises(SiameseError, match="sample"):
        write_sample(folder, SCENES.model_copy(update=change))
    assert digests(folder) == before


def test_a_file_in_place_of_the_folder_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SiameseError, match="Not a directory"):
        write_sample(tmp_path / "file", SCENES)


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            Path(sys.executable).with_name("siamese"),
            "sample",
            str(folder),
            "--scenes",
            "4",
            "--seed",
            "1",
            "--event",
            "mixed",
        ],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def test_a_killed_run_is_finished_by_the_next_without_redoing_whole_scenes(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "set"
    run = start(target)
    until(lambda: run.poll() is not None or list(target.glob("labels/*_post_*")), "the first label", every_s=0.01)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    (target / "images" / ".sample-wind_00000000_pre_disaster.png.999999999.part").write_bytes(b"half")
    kept = {path: path.stat().st_mtime_ns for path in target.glob("labels/*_post_*.json")}
    write_sample(target, SCENES)
    assert digests(target) == digests(folder)
    assert kept
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())


def test_two_at_once_leave_one_whole_set(folder: Path, tmp_path: Path) -> None:
    runs = [start(tmp_path / "set") for _ in range(2)]
    assert [run.wait(120) for run in runs] == [0, 0]
    assert digests(tmp_path / "set") == digests(folder)


def test_imagery_has_the_pixels_and_the_place_of_the_labelled_scene(tmp_path: Path) -> None:
    params = SampleParams(scenes=1, seed=4, event="wind")
    write_sample(tmp_path / "scenes", params)
    files = write_imagery(tmp_path / "new", params)
    assert [str(path.relative_to(tmp_path / "new")) for path in files] == [
        "pre/sample-wind_00000000_pre_disaster.tif",
        "post/sample-wind_00000000_post_disaster.tif",
    ]
    label = json.loads((tmp_path / "scenes/labels/sample-wind_00000000_post_disaster.json").read_text())["features"]
    pixels, degrees = (shapely.from_wkt(label[kind][0]["wkt"]) for kind in ("xy", "lng_lat"))
    for path in files:
        png = tmp_path / "scenes/images" / f"{path.stem}.png"
        with rasterio.open(path) as found:
            assert found.crs.to_epsg() == 4326
            shown = cv2.cvtColor(cv2.imread(str(png)), cv2.COLOR_BGR2RGB)
            np.testing.assert_array_equal(found.read().transpose(1, 2, 0), shown)
            corner = found.transform @ pixels.exterior.coords[0]
            np.testing.assert_allclose(corner, degrees.exterior.coords[0], atol=1e-8)
    before = digests(tmp_path / "new")
    assert write_imagery(tmp_path / "new", params) == files
    assert digests(tmp_path / "new") == before
    (tmp_path / "file").write_text("")
    with pytest.raises(SiameseError, match="cannot be written"):
        write_imagery(tmp_path / "file", params)
