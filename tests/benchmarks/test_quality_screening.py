"""The quality benchmark's screen: balanced runs, effects told apart, what cannot be told refused."""

from __future__ import annotations

import numpy as np
import pytest
from contest.judging import SceneResult
from contest.results import Learned, Result
from contest.screening import design, effects, effects_markdown, screen

from siamese.errors import SiameseError
from siamese.metrics import BuildingCounts, Counts, Tally

NAMES = ["dilated-masks", "dropout", "no-zoom", "random-start"]


def test_about_half_of_the_runs_of_each_fold_have_a_change_and_no_two_changes_go_together() -> None:
    made = design(16, 24, 3)
    assert made.shape == (24, 16)
    for fold in range(3):
        assert (made[fold::3].sum(0) == 4).all()
    signs = np.where(made, 1, -1)
    likeness = np.abs(signs.T @ signs) / 24
    np.fill_diagonal(likeness, 0)
    assert likeness.max() < 0.34
    assert (design(16, 24, 3) == made).all()


def test_a_run_makes_the_changes_of_its_row() -> None:
    runs = screen(NAMES, 12, 3)
    assert len({one.name for one in runs}) > 6
    for one, row in zip(runs, design(4, 12, 3), strict=True):
        changed = [name for name, on in zip(NAMES, row, strict=True) if on]
        assert one.title == (", ".join(changed) or "nothing changed")
        assert ("training.dilate_px=2" in one.overrides) == ("dilated-masks" in changed)
        assert len(one.overrides) >= len(changed)


def test_effects_are_found_again_in_what_they_made() -> None:
    results = [_result(fold=n % 3, correct=500 + 30 * (n % 3) + 80 * row[0] - 40 * row[2]) for n, row in _rows()]
    found = effects(NAMES, results, 3)
    gains = {one.change: one.gain["localization_f1"] for one in found}
    assert gains == pytest.approx({"dilated-masks": 0.08, "dropout": 0, "no-zoom": -0.04, "random-start": 0}, abs=1e-9)
    assert all(one.error["localization_f1"] < 1e-9 for one in found)
    assert "damage_auc" not in found[0].gain  # No scene tells of a building.
    rows = effects_markdown(found, "command").splitlines()
    assert rows[4].startswith("| dilated-masks | +")
    assert rows[-1].startswith("| no-zoom | -")


@pytest.mark.parametrize(
    ("names", "runs", "told"),
    [
        (["dilated-masks", "no-such"], 24, "no such change: no-such"),
        (["difference-fusion", "concat-fusion"], 24, "difference-fusion and concat-fusion both set network.fusion"),
        (NAMES, 7, "7 runs cannot tell 4 changes and 3 folds apart"),
    ],
)
def test_what_cannot_be_told_is_refused(names: list[str], runs: int, told: str) -> None:
    with pytest.raises(SiameseError, match=told):
        screen(names, runs, 3)


def _rows() -> list[tuple[int, list[int]]]:
    return list(enumerate(design(4, 12, 3).astype(int).tolist()))


def _result(fold: int, correct: int) -> Result:
    tally = Tally(tp=correct, fp=1000 - correct, fn=1000 - correct)
    counts = Counts(localization=tally, no_damage=tally, minor_damage=tally, major_damage=tally, destroyed=tally)
    scene = SceneResult(scene="a", event="flood", counts=counts, buildings=BuildingCounts())
    learned = Learned(minutes=1, crops=1, epochs=1, best_epoch=1, start="random", validation=None)
    return Result(
        contestant="c", fold=f"fold-{fold}", key="k", revision="r", threads=2, learned=learned, scenes=(scene,)
    )
