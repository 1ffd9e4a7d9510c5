"""``siamese score`` on folders of PNG files: the official numbers, and the official refusals."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siamese.cli import main
from siamese.errors import SiameseError
from siamese.metrics.official import OfficialScene, score_folders

NAMES = ("no_damage", "minor_damage", "major_damage", "destroyed")


def blocks(seed: int) -> np.ndarray:
    """(1024, 1024) uint8 in 0..4, in blocks of 8 pixels."""
    generator = np.random.default_rng(seed)
    cells = (generator.random((128, 128)) < 0.1) * generator.integers(1, 5, (128, 128))
    return cells.astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)


def pooled_scores(scenes: list[tuple[np.ndarray, ...]]) -> dict[str, float]:
    """The official formula over whole arrays, class by class."""
    lp, dp, lt, dt = (np.stack([scene[place] for scene in scenes]) for place in range(4))
    dp = np.where(lp > 0, dp, 0)[dt > 0]
    dt = dt[dt > 0]

    def f1(guess: np.ndarray, truth: np.ndarray) -> float:
        tp = float((guess & truth).sum())
        return 2 * tp / float(guess.sum() + truth.sum()) if tp else 0.0

    damage = [f1(dp == value, dt == value) for value in range(1, 5)]
    harmonic = 4 / sum((value + 1e-6) ** -1 for value in damage)
    localization = f1(lp > 0, lt > 0)
    named = {f"damage_f1_{name}": value for name, value in zip(NAMES, damage, strict=True)}
    score = 0.3 * localization + 0.7 * harmonic
    return {"score": score, "damage_f1": harmonic, "localization_f1": localization} | named


def run(*words: str) -> object:
    """The command line's exit code."""
    with pytest.raises(SystemExit) as left:
        main(words)
    return left.value.code


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    predictions, targets = tmp_path / "predictions", tmp_path / "targets"
    predictions.mkdir()
    targets.mkdir()
    return predictions, targets


def write(folders: tuple[Path, Path], scene: OfficialScene, rasters: tuple[np.ndarray, ...]) -> None:
    scene.write(folders[0], "prediction", rasters[0], rasters[1])
    scene.write(folders[1], "target", rasters[2], rasters[3])


def some_scene(seed: int) -> tuple[np.ndarray, ...]:
    damage = blocks(seed)
    guess = np.where(blocks(seed + 100) > 0, blocks(seed + 200), np.roll(damage, 3, axis=1))
    return (np.roll(guess, 1, axis=0) > 0).astype(np.uint8), guess, (damage > 0).astype(np.uint8), damage


@pytest.fixture
def one(folders: tuple[Path, Path]) -> tuple[Path, Path]:
    write(folders, OfficialScene("test", "00000"), some_scene(0))
    return folders


def test_the_command_writes_the_official_keys_and_numbers(folders: tuple[Path, Path], tmp_path: Path) -> None:
    scenes = [some_scene(seed) for seed in range(3)]
    for number, scene in enumerate(scenes):
        write(folders, OfficialScene("hold" if number == 2 else "test", f"{number:05d}"), scene)
    answer = tmp_path / "made" / "score.json"
    assert run("score", *map(str, folders), "--json", str(answer)) == 0
    ours, theirs = json.loads(answer.read_text()), pooled_scores(scenes)
    assert ours.keys() == theirs.keys()
    assert all(abs(ours[name] - theirs[name]) < 1e-12 for name in theirs)


def test_a_dash_prints_one_json_object(one: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("score", *map(str, one), "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["score"] == score_folders(*one).scores().score


def test_the_number_of_workers_changes_nothing(folders: tuple[Path, Path]) -> None:
    for number in range(5):
        write(folders, OfficialScene("test", f"{number:05d}"), some_scene(number))
    assert score_folders(*folders, workers=1) == score_folders(*folders, workers=4)


def test_extra_predictions_and_other_files_are_ignored(one: tuple[Path, Path]) -> None:
    before = score_folders(*one)
    OfficialScene("test", "99999").write(one[0], "prediction", blocks(1), blocks(2))
    (one[0] / "notes.txt").write_text("mine")
    (one[1] / "notes.txt").write_text("mine")
    assert score_folders(*one) == before


def test_a_palette_image_is_read_by_its_indices(one: tuple[Path, Path]) -> None:
    before = score_folders(*one)
    path = one[0] / "test_damage_00000_prediction.png"
    raster = np.array(Image.open(path))
    palette = Image.frombytes("P", (1024, 1024), raster.tobytes())
    palette.putpalette([0, 0, 0, 0, 255, 0, 255, 255, 0, 255, 128, 0, 255, 0, 0])
    palette.save(path)
    assert (np.array(Image.open(path).convert("RGB")).max(axis=2) == (raster > 0) * 255).all()
    assert score_folders(*one) == before


def repaint(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path, Path], str]:
    def mar(predictions: Path, targets: Path) -> str:
        path = (predictions if "prediction" in name else targets) / name
        Image.fromarray(change(np.array(Image.open(path)))).save(path)
        return name

    return mar


def spoil(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path, Path], str]:
    def mar(predictions: Path, targets: Path) -> str:
        path = (predictions if "prediction" in name else targets) / name
        path.write_bytes(change(path.read_bytes()))
        return name

    return mar


def remove(name: str) -> Callable[[Path, Path], str]:
    def mar(predictions: Path, targets: Path) -> str:
        ((predictions if "prediction" in name else targets) / name).unlink()
        return name

    return mar


def rename(new: str) -> Callable[[Path, Path], str]:
    def mar(_: Path, targets: Path) -> str:
        (targets / "test_localization_00000_target.png").rename(targets / new)
        return new

    return mar


def with_value(value: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(raster: np.ndarray) -> np.ndarray:
        raster[-1, -1] = value
        return raster

    return change


def bomb(_: bytes) -> bytes:
    """A PNG that says it is 60,000 pixels wide and high."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def as_directory(predictions: Path, _: Path) -> str:
    path = predictions / "test_damage_00000_prediction.png"
    path.unlink()
    path.mkdir()
    return path.name


LP, DP = "test_localization_00000_prediction.png", "test_damage_00000_prediction.png"
LT, DT = "test_localization_00000_target.png", "test_damage_00000_target.png"


@pytest.mark.parametrize(
    ("mar", "says"),
    [
        (remove(LP), "does not exist"),
        (remove(DP), "does not exist"),
        (remove(DT), "does not exist"),
        (as_directory, "does not exist or is not a file"),
        (repaint(DP, lambda raster: raster[:-1]), "1024x1024 pixels, found 1024x1023"),
        (repaint(LP, lambda raster: np.dstack([raster] * 3)), "mode RGB"),
        (repaint(DP, lambda raster: raster.astype(np.uint16)), "8 bits"),
        (repaint(LP, lambda raster: raster > 0), "mode 1"),
        (repaint(DP, with_value(5)), "0-4, found 5"),
        (repaint(LP, with_value(255)), "0-4, found 255"),
        (repaint(LT, with_value(5)), "0-4, found 5"),
        (spoil(DP, lambda data: data[: len(data) // 2]), "not a readable PNG"),
        (spoil(DP, lambda _: b""), "not a readable PNG"),
        (spoil(DP, lambda _: b"GIF89a nothing"), "not a readable PNG"),
        (spoil(DP, bomb), "PNG|pixels"),
        (rename("test_localization_00000_prediction.png"), "not an official target name"),
        (rename("train_localization_00000_target.png"), "not an official target name"),
        (rename("test_local_00000_target.png"), "not an official target name"),
        (rename("test_localization_hurricane_00000_target.png"), "not an official target name"),
    ],
)
def test_what_the_official_scorer_refuses_is_refused_with_the_file_named(
    one: tuple[Path, Path], mar: Callable[[Path, Path], str], says: str
) -> None:
    name = mar(*one)
    with pytest.raises(SiameseError, match=says) as caught:
        score_folders(*one)
    assert Path(caught.value.where).name == name
    assert "\n" not in str(caught.value)


def test_no_targets_is_an_error(folders: tuple[Path, Path]) -> None:
    with pytest.raises(SiameseError, match="no targets"):
        score_folders(*folders)


def test_a_missing_folder_is_an_error(one: tuple[Path, Path]) -> None:
    with pytest.raises(SiameseError, match="not a folder"):
        score_folders(one[0] / "nowhere", one[1])
    with pytest.raises(SiameseError, match="not a folder"):
        score_folders(one[0], one[1] / "nowhere")


def test_a_damage_target_alone_is_not_scored_as_in_the_official_scorer(one: tuple[Path, Path]) -> None:
    before = score_folders(*one)
    shutil.copy(one[1] / DT, one[1] / "test_damage_77777_target.png")
    assert score_folders(*one) == before


def test_the_command_fails_with_one_line_and_no_traceback(
    one: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (one[0] / DP).unlink()
    assert run("score", *map(str, one), "--json", "-") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [line for line in printed.err.splitlines() if "siamese:" in line and DP in line]
    assert "Traceback" not in printed.err
