"""How the quality benchmark ranks buildings by damage."""

from __future__ import annotations

import numpy as np
import pytest
from contest.ranking import building_severities, damage_auc

from siamese.classes import UNCLASSIFIED
from siamese.metrics import Buildings
from siamese.model.decision import Probabilities


def test_a_building_has_the_mean_expected_class_of_its_pixels() -> None:
    ids = np.zeros((4, 6), np.int32)
    ids[:, 0:2], ids[0, 3], ids[3, 4:] = 1, 2, 3
    damage = np.zeros((4, 4, 6), np.float32)
    damage[0] = 1
    damage[:, :2, 0:2] = np.array([0, 0.5, 0, 0.5])[:, None, None]  # Expected class 2 on half of the first building.
    prediction = Probabilities(np.zeros((4, 6), np.float32), damage)
    # The third is un-classified, and the fourth lies under others.
    buildings = Buildings(ids, np.array([2, 1, UNCLASSIFIED, 4], np.uint8))
    assert building_severities(prediction, buildings) == ((0.0,), (1.0,), (), ())


def test_the_area_is_that_of_ranks_over_all_scenes_and_needs_every_class() -> None:
    scenes = [((0.1, 0.4), (0.3,), (), ()), ((), (), (2.0,), (3.0,))]
    # Worse than none: 5 of 6 pairs in order; worse than minor, worse than major: all.
    assert damage_auc(scenes) == pytest.approx((5 / 6 + 1 + 1) / 3)
    assert damage_auc([((1.0,), (1.0,), (1.0,), (1.0,))]) == pytest.approx(0.5)
    assert damage_auc([((0.1,), (0.3,), (2.0,), ())]) is None
    assert damage_auc([]) is None
