"""Twins among image files: every kind of change is found and named, and nothing else is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders.pictures import CHANGES, jpeg, picture, png

from siamese.cli import main
from siamese.duplicates import Found, duplicates_of_files
from siamese.duplicates.fingerprint import fingerprint
from siamese.duplicates.sources import files_of_folder, files_of_prefix
from siamese.duplicates.tables import read_fingerprints, read_pairs, write_fingerprints, write_pairs
from siamese.errors import SiameseError
from siamese.store import ObjectStore

DATA = Path(os.environ.get("SIAMESE_DATA", Path(__file__).parents[3] / "shared" / "data")) / "xbd" / "images"


def found_in(folder: Path) -> Found:
    return duplicates_of_files(files_of_folder(folder))


def linked(found: Found) -> set[frozenset[str]]:
    return {frozenset((pair.one.name, pair.other.name)) for pair in found.pairs}


def test_every_kind_of_change_is_found_and_named(tmp_path: Path) -> None:
    original = picture(0)
    (tmp_path / "0.png").write_bytes(png(original))
    for number in range(1, 8):
        (tmp_path / f"other-{number}.png").write_bytes(png(picture(number)))
    for name, (_, change) in CHANGES.items():
        (tmp_path / f"{name}.png").write_bytes(png(np.ascontiguousarray(change(original))))
    found = found_in(tmp_path)
    kinds = {pair.other.name.removesuffix(".png"): pair.kinds for pair in found.pairs if pair.one.name == "0.png"}
    assert {name: CHANGES[name][0] in kinds.get(name, ()) for name in CHANGES} == dict.fromkeys(CHANGES, True)
    assert {name: len(kinds[name]) for name in CHANGES} == dict.fromkeys(CHANGES, 1)
    assert found.groups == (("0.png", *sorted(f"{name}.png" for name in CHANGES)),)
    assert all(0.5 <= pair.confidence <= 1 for pair in found.pairs)


def test_a_cut_flipped_recoloured_jpeg_is_found(tmp_path: Path) -> None:
    image = picture(3)
    (tmp_path / "a.png").write_bytes(png(image))
    changed = np.rot90(image[30:260, 50:280][:, ::-1] * 0.7 + 45).astype(np.uint8)
    (tmp_path / "b.jpg").write_bytes(jpeg(np.ascontiguousarray(changed)))
    (pair,) = found_in(tmp_path).pairs
    assert set(pair.kinds) == {"transpose", "crop", "colour"}


def test_neighbours_that_share_half_of_their_ground_are_no_twins(tmp_path: Path) -> None:
    wide = picture(1, 300, 450)
    (tmp_path / "west.png").write_bytes(png(np.ascontiguousarray(wide[:, :300])))
    (tmp_path / "east.png").write_bytes(png(np.ascontiguousarray(wide[:, 150:])))
    assert found_in(tmp_path).pairs == ()


def test_flat_and_calm_images_are_told_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ramp = np.linspace(40, 120, 200)[None, :, None] + np.zeros((200, 200, 3))
    for number in range(4):
        (tmp_path / f"flat-{number}.png").write_bytes(png(np.full((200, 200, 3), 30 * number, np.uint8)))
        (tmp_path / f"sea-{number}.png").write_bytes(png((ramp + rng.normal(0, 3, ramp.shape)).astype(np.uint8)))
    assert found_in(tmp_path).pairs == ()


def test_the_very_same_file_is_a_twin_even_if_it_is_flat(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.png").write_bytes(png(np.full((50, 50, 3), 7, np.uint8)))
    found = found_in(tmp_path)
    assert [pair.kinds for pair in found.pairs] == [("identical",)] * 2
    assert found.groups == (("a.png", "b.png", "c.png"),)


def test_dates_of_a_scene_are_no_twins_but_a_copy_of_one_date_is(tmp_path: Path) -> None:
    before, after = picture(1), picture(2)
    (tmp_path / "flood_00000001_pre_disaster.png").write_bytes(png(before))
    (tmp_path / "flood_00000001_post_disaster.png").write_bytes(png(before[::-1]))
    (tmp_path / "fire_00000009_pre_disaster.png").write_bytes(png(after))
    (tmp_path / "fire_00000009_post_disaster.png").write_bytes(png(np.rot90(before[20:300, 10:290])))
    found = found_in(tmp_path)
    assert found.groups == (("fire_00000009", "flood_00000001"),)
    assert {pair.one.date for pair in found.pairs} == {"post"}


def test_grey_tiff_and_odd_sizes(tmp_path: Path) -> None:
    image = picture(5, 211, 333)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    cv2.imwrite(str(tmp_path / "grey.tif"), grey)
    (tmp_path / "colour.png").write_bytes(png(image))
    (tmp_path / "tiny.png").write_bytes(png(image[:3, :2]))
    assert linked(found_in(tmp_path)) == {frozenset(("grey.tif", "colour.png"))}


def test_what_cannot_be_read_is_listed_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(png(picture(0)))
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    (tmp_path / "text.png").write_bytes(b"not an image at all")
    claims = bytearray(jpeg(picture(0, 16, 16)))
    at = claims.find(b"\xff\xc0") + 5
    claims[at : at + 4] = b"\xfd\xe8\xfd\xe8"
    (tmp_path / "claims.jpg").write_bytes(claims)
    (tmp_path / "notes.txt").write_text("no image, and not taken for one")
    found = found_in(tmp_path)
    assert found.images == 1
    assert found.unreadable == {
        "claims.jpg": "is 65000 x 65000 px, more than 16384 px a side",
        "cut.jpg": "JPEG cannot be decoded",
        "empty.jpg": "is empty",
        "text.png": "is neither PNG nor GeoTIFF",
    }


def test_a_folder_without_images_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SiameseError, match="holds no PNG, TIFF or JPEG image — check the path"):
        found_in(tmp_path)
    with pytest.raises(SiameseError, match="is not a folder"):
        found_in(tmp_path / "absent")


def test_a_prefix_is_read_as_a_folder_is(store: ObjectStore, tmp_path: Path) -> None:
    for name, image in {"a": picture(0), "b": picture(1), "c": picture(0)[::-1]}.items():
        store.put(store.raw / "photos" / "one" / f"{name}.png", png(np.ascontiguousarray(image)))
    found = duplicates_of_files(files_of_prefix(store.raw / "photos", store))
    assert found.groups == (("one/a.png", "one/c.png"),)
    with pytest.raises(SiameseError, match="holds no PNG, TIFF or JPEG image"):
        list(files_of_prefix(store.raw / "nothing", store))


def ended(*words: str) -> int | str | None:
    with pytest.raises(SystemExit) as end:
        main(["duplicates", *words])
    return end.value.code


def test_the_command_prints_writes_and_exits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "images", tmp_path / "out"
    folder.mkdir()
    (folder / "a.png").write_bytes(png(picture(0)))
    (folder / "b.png").write_bytes(png(picture(0)[:, ::-1]))
    assert ended(str(folder), "--json", "--out", str(out)) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["images"], told["groups"], told["unreadable"]) == (2, [["a.png", "b.png"]], {})
    assert cv2.imread(str(out / "sheet.png")).shape[1] > 700
    (pair,) = read_pairs((out / "pairs.csv").read_bytes())
    assert json.loads(pair.model_dump_json()) == told["pairs"][0]
    assert ended(str(folder), "--check") == 3
    assert "flip left-right" in capsys.readouterr().out
    (folder / "b.png").unlink()
    assert ended(str(folder), "--check") == 0
    assert ended(str(tmp_path / "absent")) == 1
    assert "there is no such folder or file" in capsys.readouterr().err


def test_names_that_utf8_cannot_hold_are_escaped_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "images", tmp_path / "out"
    folder.mkdir()
    names = (b"caf\xe8.png", b"caf\xe9.png", "straße.png".encode())
    for name, image in zip(names, (picture(0), picture(0)[:, ::-1], picture(0)[::-1]), strict=True):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(png(np.ascontiguousarray(image)))
    assert ended(str(folder), "--json", "--out", str(out)) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["groups"] == [["caf\\udce8.png", "caf\\udce9.png", "straße.png"]]
    assert cv2.imread(str(out / "sheet.png")) is not None
    assert ended(str(folder)) == 0


def test_tables_are_read_as_they_were_written(tmp_path: Path) -> None:
    one = fingerprint(picture(0))
    (read,) = read_fingerprints(write_fingerprints({"ab": one})).values()
    assert (read.descriptors == one.descriptors).all()
    assert (read.points == one.points).all()
    assert (read.width, read.height, read.thumbnail) == (one.width, one.height, one.thumbnail)
    assert read_fingerprints(write_fingerprints({})) == {}
    assert read_pairs(write_pairs(())) == ()


@pytest.mark.skipif(not DATA.is_dir(), reason="the real scenes are not there; set SIAMESE_DATA")
def test_real_tiles_of_one_disaster_are_no_twins() -> None:
    files = [file for file in files_of_folder(DATA) if file.scene.startswith("santa-rosa")]
    found = duplicates_of_files(files)
    assert (found.images, found.pairs) == (28, ())
