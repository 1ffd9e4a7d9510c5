"""``evaluate`` on a pair set and on a folder, against predictions counted here one pixel at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from builders.evalscenes import LittleScene, little_scenes
from PIL import Image

from siamese.cli import main
from siamese.errors import SiameseError
from siamese.evaluation import evaluate, evaluate_folder, read_report
from siamese.evaluation.files import write_metrics, write_plots
from siamese.manifests import Checkpoint, Evaluation, PairSet, Scores
from siamese.metrics.official import score_folders
from siamese.model import Predictor
from siamese.pairs import PairReader
from siamese.params import EvaluationParams
from siamese.store import ObjectStore

PARAMS = EvaluationParams(resamples=200)
FIGURES = tuple(Scores.model_fields)


def naive_confusion(classes: np.ndarray, target: np.ndarray) -> list[list[int]]:
    table = [[0] * 5 for _ in range(5)]
    for guess, truth in zip(classes.ravel().tolist(), target.ravel().tolist(), strict=True):
        table[truth][guess] += 1
    return table


def test_the_figures_of_a_split_are_those_counted_by_hand(
    store: ObjectStore, checkpoint: Checkpoint, pair_set: PairSet
) -> None:
    evaluation = evaluate(checkpoint, pair_set, PARAMS, store)
    report = read_report(evaluation, store)
    reader, predictor = PairReader(store, pair_set, cache=None), Predictor.load(store, checkpoint)
    entries = reader.scenes("test")
    table = np.zeros((5, 5), int)
    found = there = both = 0
    for entry in entries:
        classes = predictor.classify(*reader.whole(entry.scene)[:2])
        localization, damage = reader.targets(entry.scene)
        table += naive_confusion(classes, damage)
        found += int((classes > 0).sum())
        there += int((localization > 0).sum())
        both += int(((classes > 0) & (localization > 0)).sum())
    assert (np.array(report.confusion) == table).all()
    assert report.scenes == len(entries) >= 2
    assert (report.counts.localization.tp, report.counts.localization.fp) == (both, found - both)
    assert report.pixels.localization.support == there
    for value, tally in enumerate(report.counts.damage.values(), start=1):
        hits = table[value, value]
        assert (tally.tp, tally.fn) == (hits, table[value].sum() - hits)
        assert tally.fp == table[1:, value].sum() - hits
    assert (table[:, 1:].sum(axis=0) > 0).sum() >= 2, "the network should guess several classes"
    assert report.localization_f1 == pytest.approx(2 * both / (found + there), abs=1e-12)
    assert {name: getattr(report, name) for name in FIGURES} == evaluation.scores.model_dump()


def test_the_report_holds_together(store: ObjectStore, checkpoint: Checkpoint, pair_set: PairSet) -> None:
    evaluation = evaluate(checkpoint, pair_set, PARAMS, store)
    report = read_report(evaluation, store)
    entries = PairReader(store, pair_set, cache=None).scenes("test")
    assert sum(one.scenes for one in report.events.values()) == report.scenes
    assert set(report.events) == {entry.disaster for entry in entries}
    labelled = sum(pair_set.splits["test"].buildings.values())
    assert report.buildings.detection.support == labelled
    assert report.buildings.unclassified == pair_set.splits["test"].buildings["un-classified"]
    assert sum(map(sum, report.buildings.confusion[1:])) == labelled - report.buildings.unclassified
    for name in FIGURES:
        interval = report.intervals[name]
        assert 0 <= interval.low <= interval.high <= 1.000001
    assert report.intervals["score"].low < report.intervals["score"].high
    wrong = [row.wrong_px for row in report.failures]
    assert wrong == sorted(wrong, reverse=True)
    assert sum(wrong) == sum(map(sum, report.confusion)) - sum(row[k] for k, row in enumerate(report.confusion))
    points = sum(one.count for one in report.damage_calibration.bins)
    classed = sum(pair_set.splits["test"].pixels[name] for name in report.confusion_labels[1:])
    assert points == classed
    assert 0 < report.damage_calibration.expected_calibration_error < 1


def test_one_row_a_scene_adds_up_to_the_whole(store: ObjectStore, checkpoint: Checkpoint, pair_set: PairSet) -> None:
    evaluation = evaluate(checkpoint, pair_set, PARAMS, store)
    report = read_report(evaluation, store)
    rows = list(csv.DictReader(io.StringIO(evaluation.scenes.read(store).decode())))
    assert len(rows) == report.scenes
    for name in type(report.counts).model_fields:
        for kind in ("tp", "fp", "fn"):
            total = sum(int(row[f"{name}_{kind}"]) for row in rows)
            assert total == getattr(getattr(report.counts, name), kind)


def test_a_second_evaluation_is_only_read(
    store: ObjectStore, checkpoint: Checkpoint, pair_set: PairSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluate(checkpoint, pair_set, PARAMS, store)
    monkeypatch.setattr(Predictor, "load", lambda *_, **__: pytest.fail("the network was loaded again"))
    assert evaluate(checkpoint, pair_set, PARAMS.model_copy(update={"workers": 5}), store) == first
    with pytest.raises(pytest.fail.Exception):
        evaluate(checkpoint, pair_set, EvaluationParams(split="val"), store)


def test_pictures_are_published_as_png(store: ObjectStore, checkpoint: Checkpoint, pair_set: PairSet) -> None:
    evaluation = evaluate(checkpoint, pair_set, PARAMS, store)
    assert set(evaluation.plots) == {"classes", "confusion", "reliability", "events"}
    for blob in evaluation.plots.values():
        with Image.open(io.BytesIO(blob.read(store))) as picture:
            assert picture.format == "PNG"
            assert len(picture.convert("RGB").getcolors(2**24) or ()) > 10


def test_a_split_without_scenes_is_an_error(store: ObjectStore, checkpoint: Checkpoint, pair_set: PairSet) -> None:
    with pytest.raises(SiameseError, match="split test holds no scenes"):
        evaluate(checkpoint, _without_test(pair_set, store), PARAMS, store)


def _without_test(pair_set: PairSet, store: ObjectStore) -> PairSet:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from siamese.store import put_blob

    table = pq.read_table(io.BytesIO(pair_set.index.read(store)))
    out = io.BytesIO()
    pq.write_table(table.filter(pc.not_equal(table["split"].cast(pa.string()), "test")), out)
    index = put_blob(store, PairSet.folder(store, "2" * 16), "index.parquet", out.getvalue())
    origin = pair_set.origin.model_copy(update={"digest": "2" * 16})
    return pair_set.model_copy(update={"index": index, "origin": origin})


@pytest.mark.parametrize("split", ["", "test"])
def test_a_folder_scores_as_the_same_scenes_in_a_pair_set(
    store: ObjectStore, checkpoint: Checkpoint, pair_set: PairSet, make_folder: Callable[..., Path], split: str
) -> None:
    published = read_report(evaluate(checkpoint, pair_set, PARAMS, store), store)
    names = {entry.scene for entry in PairReader(store, pair_set, cache=None).scenes("test")}
    folder = make_folder([scene for scene in little_scenes() if scene.name in names], split)
    local = evaluate_folder(checkpoint, folder, PARAMS, store)
    different = {name for name in type(local).model_fields if getattr(local, name) != getattr(published, name)}
    assert different == {"data"}


def test_official_targets_beside_the_images_win_over_drawn_ones(
    store: ObjectStore, checkpoint: Checkpoint, make_folder: Callable[..., Path]
) -> None:
    scene = LittleScene("storm_00000001", 1)
    folder = make_folder([scene])
    drawn = evaluate_folder(checkpoint, folder, PARAMS, store)
    (folder / "targets").mkdir()
    target = np.zeros((scene.height, scene.width), np.uint8)
    target[:10] = 4
    for date in ("pre", "post"):
        Image.fromarray(target).save(folder / "targets" / f"{scene.name}_{date}_disaster_target.png")
    given = evaluate_folder(checkpoint, folder, PARAMS, store)
    assert given.pixels.localization.support == given.pixels.damage["destroyed"].support == 10 * scene.width
    assert given.buildings == drawn.buildings


def test_unlabelled_pairs_are_told_and_not_scored(
    store: ObjectStore, checkpoint: Checkpoint, make_folder: Callable[..., Path]
) -> None:
    folder = make_folder([LittleScene("storm_00000001", 1), LittleScene("storm_00000002", 2)])
    for label in (folder / "labels").glob("storm_00000002_*"):
        label.unlink()
    report = evaluate_folder(checkpoint, folder, PARAMS, store)
    assert (report.scenes, report.skipped) == (1, {"storm_00000002": "no labels"})


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def rename_field(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"subtype"', b'"damage"', 1))


def take_colour_away(path: Path) -> None:
    with Image.open(path) as picture:
        picture.convert("L").save(path)


@pytest.mark.parametrize(
    ("file", "mar", "says"),
    [
        ("images/storm_00000001_post_disaster.png", take_colour_away, "bands 3 before and 1 after; .* takes 3 and 3"),
        ("images/storm_00000001_post_disaster.png", cut, "truncated"),
        ("labels/storm_00000001_post_disaster.json", rename_field, "subtype is missing"),
        ("labels/storm_00000001_pre_disaster.json", Path.unlink, "no pre label"),
        ("images/storm_00000001_pre_disaster.png", Path.unlink, "no pre image"),
    ],
)
def test_a_broken_scene_is_an_error_that_names_it(
    store: ObjectStore,
    checkpoint: Checkpoint,
    make_folder: Callable[..., Path],
    file: str,
    mar: Callable[[Path], None],
    says: str,
) -> None:
    folder = make_folder([LittleScene("storm_00000001", 1), LittleScene("storm_00000002", 2)])
    mar(folder / file)
    with pytest.raises(SiameseError, match=says) as caught:
        evaluate_folder(checkpoint, folder, PARAMS, store)
    assert "storm_00000001" in str(caught.value)


def test_the_same_scene_twice_and_a_folder_without_scenes_are_errors(
    store: ObjectStore, checkpoint: Checkpoint, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    scene = LittleScene("storm_00000001", 1)
    make_folder([scene], "test")
    with pytest.raises(SiameseError, match="also there as"):
        evaluate_folder(checkpoint, make_folder([scene], "hold"), PARAMS, store)
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(SiameseError, match=r"no labelled scenes|not a folder"):
            evaluate_folder(checkpoint, folder, PARAMS, store)


def test_written_predictions_score_the_same_with_the_official_scorer(
    store: ObjectStore, checkpoint: Checkpoint, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    scenes = [LittleScene(f"storm_0000000{k}", k, 40, height=1024, width=1024) for k in (1, 2)]
    predictions = tmp_path / "predictions"
    report = evaluate_folder(checkpoint, make_folder(scenes), PARAMS, store, predictions=predictions)
    assert score_folders(predictions, predictions / "targets") == report.counts
    assert sum(tally.tp for tally in report.counts.damage.values()) > 0
    with pytest.raises(SiameseError, match="targets of other scenes"):
        evaluate_folder(checkpoint, make_folder([scenes[0]]), PARAMS, store, predictions=_with_stranger(predictions))


def test_real_scenes_score_the_same_as_their_written_predictions(
    store: ObjectStore, checkpoint: Checkpoint, real_data: Path, tmp_path: Path
) -> None:
    names = ("joplin-tornado", "guatemala-volcano")
    for kind in ("images", "labels"):
        (tmp_path / "xbd" / kind).mkdir(parents=True)
        for name in names:
            stem = min((real_data / "xbd" / kind).glob(f"{name}_*")).name.split("_pre_")[0].split("_post_")[0]
            for path in (real_data / "xbd" / kind).glob(f"{stem}_*"):
                (tmp_path / "xbd" / kind / path.name).symlink_to(path.resolve())
    report = evaluate_folder(checkpoint, tmp_path / "xbd", PARAMS, store, predictions=tmp_path / "predictions")
    assert set(report.events) == set(names)
    assert report.events["joplin-tornado"].buildings.detection.support == 198
    scored = score_folders(tmp_path / "predictions", tmp_path / "predictions" / "targets")
    assert scored.scores().model_dump() == {name: getattr(report, name) for name in FIGURES}


def _with_stranger(predictions: Path) -> Path:
    target = next((predictions / "targets").glob("test_localization_*"))
    target.rename(target.with_name("test_localization_other_target.png"))
    return predictions


def test_a_published_evaluation_still_writes_predictions_when_asked(
    store: ObjectStore, checkpoint: Checkpoint, pair_set: PairSet, tmp_path: Path
) -> None:
    first = evaluate(checkpoint, pair_set, PARAMS, store)
    assert evaluate(checkpoint, pair_set, PARAMS, store, predictions=tmp_path / "new") == first
    names = {path.name for path in (tmp_path / "new").glob("*.png")}
    scenes = [entry.scene.replace("_", "-") for entry in PairReader(store, pair_set, cache=None).scenes("test")]
    assert names == {f"test_{task}_{scene}_prediction.png" for task in ("localization", "damage") for scene in scenes}


def test_metrics_and_plots_are_files_for_dvc(
    store: ObjectStore, checkpoint: Checkpoint, pair_set: PairSet, tmp_path: Path
) -> None:
    report = read_report(evaluate(checkpoint, pair_set, PARAMS, store), store)
    write_metrics(report, tmp_path / "reports" / "metrics.json")
    write_plots(report, tmp_path / "reports" / "plots")
    assert json.loads((tmp_path / "reports" / "metrics.json").read_text()) == {
        name: getattr(report, name) for name in FIGURES
    }
    tables = {
        path.stem: list(csv.DictReader(path.open())) for path in sorted((tmp_path / "reports" / "plots").glob("*.csv"))
    }
    assert set(tables) == {
        "classes", "confusion", "events", "reliability_building", "reliability_damage", "risk_coverage",
    }  # fmt: skip
    assert [row["class"] for row in tables["classes"]] == ["localization", *report.confusion_labels[1:]]
    assert len(tables["confusion"]) == sum(map(sum, report.buildings.confusion))
    assert [row["event"] for row in tables["events"]] == list(report.events)


def test_the_command_scores_a_split_and_a_folder(
    store: ObjectStore,
    checkpoint: Checkpoint,
    pair_set: PairSet,
    make_folder: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for use in ("raw", "lake", "maps"):
        monkeypatch.setenv(f"SIAMESE_{use.upper()}_BUCKET", getattr(store.settings, f"{use}_bucket"))
    (tmp_path / "params.yaml").write_text("evaluation: {resamples: 50}\n")
    manifest = tmp_path / "checkpoint.json"
    manifest.write_text(checkpoint.model_dump_json())
    common = ("--model", str(manifest), "--params", str(tmp_path / "params.yaml"))

    def run(*words: str) -> object:
        with pytest.raises(SystemExit) as left:
            main(["evaluate", *common, *words])
        return left.value.code

    out, answer, metrics = tmp_path / "evaluation.json", tmp_path / "report.json", tmp_path / "metrics.json"
    files = ("--json", str(answer), "--out", str(out), "--metrics", str(metrics), "--plots", str(tmp_path / "plots"))
    assert run("--scenes", pair_set.digest, *files) == 0
    assert "score" in capsys.readouterr().out
    evaluation = Evaluation.load(store, Evaluation.model_validate_json(out.read_bytes()).digest)
    assert Evaluation.latest(store) == evaluation
    assert json.loads(metrics.read_text()) == evaluation.scores.model_dump()
    assert json.loads(answer.read_text())["score"] == evaluation.scores.score
    assert (tmp_path / "plots" / "confusion.png").is_file()
    folder = make_folder(little_scenes())
    assert run("--scenes", str(folder), "--json", "-") == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["scenes"], printed["data"]) == (7, str(folder))
    assert run("--scenes", str(folder), "--out", str(out)) == 1
    assert "is not published" in capsys.readouterr().err
    assert run("--scenes", str(tmp_path / "nowhere")) == 1
    assert "nowhere: no such folder" in capsys.readouterr().err
