"""Ways to decide, judged on one prediction of each scene."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from contest.deciding import changed, compare, decisions_table, judge_ways, ways_markdown
from numpy.typing import NDArray

from siamese.errors import SiameseError
from siamese.evaluation.truth import SceneTask, SceneTruth
from siamese.metrics import Buildings
from siamese.model.decision import Decided, Decision, Probabilities, decide

Image = NDArray[np.uint8]


@dataclass
class Sure:
    """Sees one building of 16 pixels: .45 sure of it, .9 in one pixel, and a little surer of damage than of none."""

    decision: Decision = field(default_factory=Decision)
    asked: int = 0

    def predict(self, pre: Image, post: Image, disaster_type: str | None = None, /) -> Probabilities:
        """The same of any pair."""
        self.asked += 1
        building, damage = np.zeros((8, 8), np.float32), np.zeros((4, 8, 8), np.float32)
        building[:4, :4], building[0, 0] = 0.45, 0.9
        damage[0], damage[1] = 0.6, 0.4
        return Probabilities(building, damage)

    def decide(self, prediction: Probabilities, /) -> Decided:
        """By its own decision."""
        return decide(prediction, self.decision)


def task() -> SceneTask:
    image, damage, ids = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.int32)
    damage[:4, :4], ids[:4, :4] = 2, 1
    buildings = Buildings(ids, np.array([2], np.uint8))
    truth = SceneTruth(image, image, damage, (damage > 0).astype(np.uint8), damage, buildings, "flood")
    return SceneTask("flood_1", "flood", lambda: truth)


WAYS = {"as-trained": {}, "low": {"building": 0.4}, "low-for-damage": {"building": 0.4, "class_weights": [1, 2, 1, 1]}}


def test_each_way_is_judged_on_the_same_prediction() -> None:
    network = Sure()
    judged = judge_ways([task(), task()], network, network.decision, WAYS, iou=0.5)
    assert network.asked == 2
    whole, low, damaged = (judged[name] for name in WAYS)
    assert (whole[0].localization.tp, low[0].localization.tp) == (2, 32)
    assert (low[0].minor_damage.tp, damaged[0].minor_damage.tp) == (0, 32)
    assert (whole[1].detection.tp, low[1].detection.tp) == (0, 2)
    first, second, third = compare([judged, judged])
    assert (first.name, first.networks, first.gain, first.gain_error) == ("as-trained", 2, 0, 0)
    assert second.localization_f1 == 1
    assert third.gain == pytest.approx(third.score - first.score)
    assert third.building_macro_f1 == 1
    assert first.calibration_error == pytest.approx(0.6)
    rows = ways_markdown([first, second, third], "python benchmarks/decisions.py").splitlines()
    assert len({row.count("|") for row in rows[2:]}) == 1
    assert rows[-1].startswith("| low-for-damage |")


def test_gains_are_told_network_by_network() -> None:
    network = Sure()
    one = judge_ways([task()], network, network.decision, WAYS, iou=0.5)
    other = {**one, "low": one["low-for-damage"]}
    _, low, _ = compare([one, other])
    assert low.gain_error == pytest.approx(low.spread / 2**0.5)
    assert compare([one])[1].gain_error == 0


def test_the_ways_are_decisions_and_the_first_changes_nothing() -> None:
    table = decisions_table()
    assert next(iter(table.values())) == {}
    with pytest.raises(SiameseError, match="odd: thresold: Extra inputs are not permitted"):
        changed(Decision(), {"thresold": 0.4}, "odd")
