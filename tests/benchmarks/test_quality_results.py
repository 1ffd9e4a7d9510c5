"""The quality benchmark's results: what a key depends on, what is kept, what figures add up to; references' loss."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from contest.contestants import CONTEST, OURS
from contest.judging import SceneResult, judge
from contest.references import reference_loss, widened
from contest.results import Learned, Result, Results, result_key
from contest.scenes import folds
from contest.summary import markdown, ratio_to_references, standings, table
from numpy.typing import NDArray
from rich.console import Console

from siamese.evaluation.truth import SceneTask, SceneTruth
from siamese.metrics import BuildingCounts, Buildings, Counts, Tally
from siamese.model.decision import Decided, Probabilities
from siamese.params import Params, load_params

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
FOLDS = folds(Params().pairs)
UNET = CONTEST[-1]


def params(*overrides: str) -> Params:
    return load_params(PARAMS_FILE, overrides)


def scene(name: str, tp: int, wrong: int) -> SceneResult:
    tally = Tally(tp=tp, fp=wrong, fn=wrong)
    counts = Counts(localization=tally, no_damage=tally, minor_damage=tally, major_damage=tally, destroyed=tally)
    rows = np.zeros((5, 5), int)
    rows[1, 1], rows[2, 0] = tp, wrong
    buildings = BuildingCounts(confusion=tuple(map(tuple, rows.tolist())))
    return SceneResult(scene=name, event="flood", counts=counts, buildings=buildings)


def result(contestant: str, fold: str, *scenes: SceneResult, crops: int = 100) -> Result:
    learned = Learned(minutes=1, crops=crops, epochs=2, best_epoch=1, start="random", validation=None)
    return Result(
        contestant=contestant, fold=fold, key="k", revision="r", threads=2, learned=learned, scenes=tuple(scenes)
    )


def test_a_key_changes_with_whatever_the_result_depends_on_and_with_nothing_else() -> None:
    first = result_key(OURS, FOLDS[0], params(), "data")
    assert result_key(OURS, FOLDS[0], params(), "data") == first
    assert result_key(OURS, FOLDS[0], params("training.loader_threads=9", "mapping.tile_px=256"), "data") == first
    others = [
        result_key(UNET, FOLDS[0], params(), "data"),
        result_key(CONTEST[1], FOLDS[0], params(), "data"),
        result_key(OURS, FOLDS[1], params(), "data"),
        result_key(OURS, FOLDS[0], params(), "other data"),
        result_key(OURS, FOLDS[0], params("network.fusion=difference"), "data"),
        result_key(OURS, FOLDS[0], params("training.minutes=7"), "data"),
        result_key(OURS, FOLDS[0], params("training.clock=processor"), "data"),
    ]
    assert len({first, *others}) == 1 + len(others)


def test_the_key_of_a_reference_ignores_the_network_that_it_does_not_have() -> None:
    first = result_key(UNET, FOLDS[0], params(), "data")
    assert result_key(UNET, FOLDS[0], params("network.fusion=difference"), "data") == first
    assert result_key(UNET, FOLDS[0], params("network.encoder=resnet34"), "data") != first


def test_results_are_kept_whole_and_a_broken_one_is_made_again(tmp_path: Path) -> None:
    results, made = Results(tmp_path), result("ours", "fold-0", scene("a", 3, 1))
    assert results.find(OURS, FOLDS[0], "k") is None
    results.keep(made)
    assert results.find(OURS, FOLDS[0], "k") == made
    assert results.find(OURS, FOLDS[1], "k") is None
    assert results.find(OURS, FOLDS[0], "other") is None
    (kept,) = tmp_path.iterdir()
    kept.write_text(kept.read_text()[:50])
    assert results.find(OURS, FOLDS[0], "k") is None


def test_figures_add_up_over_folds_and_pool_over_scenes() -> None:
    ours = [result("ours", "fold-0", scene("a", 8, 2), crops=10), result("ours", "fold-1", scene("b", 2, 8), crops=30)]
    other = [result("unet", "fold-0", scene("a", 4, 6)), result("unet", "fold-1", scene("b", 4, 6))]
    found = standings([ours[0], other[0], ours[1], other[1]], resamples=200, seed=1)
    mine, theirs = found
    assert [figures.scores.score for figures in mine.folds] == pytest.approx([0.8, 0.2], abs=1e-5)
    assert (mine.mean, mine.spread) == pytest.approx((0.5, 0.4243), abs=1e-4)
    assert mine.pooled.scores.score == pytest.approx(0.5, abs=1e-5)
    assert (mine.pooled.scenes, mine.crops) == (2, 20)
    assert mine.pooled.buildings == {"no_damage": 10, "minor_damage": 10, "major_damage": 0, "destroyed": 0}
    assert mine.pooled.building_macro_f1 == 0.5
    assert mine.interval.low == pytest.approx(0.2, abs=1e-5)
    assert mine.interval.high == pytest.approx(0.8, abs=1e-5)
    assert theirs.spread == pytest.approx(0)
    assert ratio_to_references(found, ["unet", "fcsiamdiff"]) == pytest.approx(1.25, abs=1e-4)
    assert ratio_to_references(found[:1], ["unet"]) is None


def test_the_table_and_the_rows_name_every_contestant() -> None:
    found = standings(
        [result("ours", "fold-0", scene("a", 8, 2)), result("unet", "fold-0", scene("a", 4, 6))], resamples=9, seed=1
    )
    titles = {"ours": "ours", "unet": "a Unet"}
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table(found, titles, differences=True))
    text = console.export_text()
    assert "+0.000" in text
    assert "-0.400" in text
    rows = markdown(found, titles, "python benchmarks/quality.py").splitlines()
    assert rows[0] == "`python benchmarks/quality.py`"
    assert [row.split(" | ")[0] for row in rows[-2:]] == ["| ours", "| a Unet"]
    assert len({row.count("|") for row in rows[2:]}) == 1
    assert ".80 / .80 / .80 / .80" in rows[-2]


@dataclass(frozen=True)
class Says:
    """A network that is sure of a class raster, and of minor damage wherever there is no building."""

    classes: NDArray[np.uint8]

    def predict(self, pre: object, post: object, disaster_type: str | None = None, /) -> Probabilities:
        """The same, whatever the images."""
        damage = np.eye(4, dtype=np.float32)[np.where(self.classes, self.classes - 1, 1)].transpose(2, 0, 1)
        return Probabilities((self.classes > 0).astype(np.float32), damage)

    def decide(self, prediction: Probabilities, /) -> Decided:
        """The class raster; its buildings are its components."""
        return Decided(self.classes, Buildings.from_classes(self.classes).ids)


def test_the_judge_counts_class_rasters_as_the_official_scorer_does() -> None:
    target = np.zeros((8, 8), np.uint8)
    target[1:4, 1:4] = 2
    image = np.zeros((8, 8, 3), np.uint8)
    buildings = Buildings((target > 0).astype(np.int32), np.array([2], np.uint8))
    truth = SceneTruth(image, image, target, (target > 0).astype(np.uint8), target, buildings)
    (perfect,) = judge([SceneTask("a_1", "a", lambda: truth)], Says(target), 0.5)
    assert perfect.counts.localization.f1 == perfect.counts.minor_damage.f1 == 1
    assert perfect.buildings.damage["minor_damage"] == Tally(tp=1)
    assert perfect.severities == ((), (1.0,), (), ())
    (nothing,) = judge([SceneTask("a_1", "a", lambda: truth)], Says(0 * target), 0.5)
    assert nothing.counts.localization == Tally(fn=9)


def test_the_loss_of_references_rewards_the_truth_and_ignores_what_nobody_knows() -> None:
    mask = torch.zeros(1, 8, 8, dtype=torch.uint8)
    mask[:, 2:4], mask[:, 6:] = 3, 255
    right = torch.nn.functional.one_hot(mask.long() % 250, 6)[..., :5].permute(0, 3, 1, 2).float() * 30
    weights = (0.5, 1, 3, 3, 2)
    assert reference_loss(right, mask, weights) < 0.01 < 1 < reference_loss(-right, mask, weights)
    logits = torch.zeros(1, 5, 8, 8, requires_grad=True)
    reference_loss(logits, mask, weights).backward()
    assert logits.grad is not None
    assert not logits.grad[:, :, 6:].any()
    assert logits.grad[:, :, :6].any()
    empty = torch.full_like(mask, 255)
    assert reference_loss(logits, empty, weights) == 0


def test_a_convolution_over_two_equal_images_answers_as_over_one() -> None:
    images, weights = torch.rand(1, 3, 6, 6), {"stem.weight": torch.rand(4, 3, 3, 3), "bias": torch.rand(4)}
    wide = widened(weights, {"stem.weight": torch.empty(4, 6, 3, 3), "bias": torch.empty(4)})
    assert torch.equal(wide["bias"], weights["bias"])
    twice = torch.nn.functional.conv2d(torch.cat([images, images], 1), wide["stem.weight"])
    torch.testing.assert_close(twice, torch.nn.functional.conv2d(images, weights["stem.weight"]))
