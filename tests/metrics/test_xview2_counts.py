"""The official metric against a per-pixel computation that shares no code with it, and at every corner."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from siamese.errors import SiameseError
from siamese.metrics import Counts, Tally, count_scene

Rasters = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
EMPTY = 0.7 * 4 / (4 * (0 + 1e-6) ** -1)


def naive_scores(scenes: Sequence[Rasters]) -> dict[str, float]:
    """The formula of the official README and scorer, a pixel at a time."""
    hits, false, missed = [0] * 5, [0] * 5, [0] * 5
    for scene in scenes:
        for lp, dp, lt, dt in zip(*(raster.ravel().tolist() for raster in scene), strict=True):
            if lp > 0 and lt > 0:
                hits[0] += 1
            elif lp > 0:
                false[0] += 1
            elif lt > 0:
                missed[0] += 1
            if dt == 0:
                continue
            guess = dp if lp > 0 else 0
            if guess == dt:
                hits[dt] += 1
            else:
                missed[dt] += 1
                if guess:
                    false[guess] += 1
    f1 = []
    for tp, fp, fn in zip(hits, false, missed, strict=True):
        precision = tp / (tp + fp) if tp else 0.0
        recall = tp / (tp + fn) if tp else 0.0
        f1.append(2 * precision * recall / (precision + recall) if tp else 0.0)
    harmonic = 4 / sum(1 / (value + 1e-6) for value in f1[1:])
    names = ("no_damage", "minor_damage", "major_damage", "destroyed")
    return {
        "score": 0.3 * f1[0] + 0.7 * harmonic,
        "damage_f1": harmonic,
        "localization_f1": f1[0],
        **{f"damage_f1_{name}": value for name, value in zip(names, f1[1:], strict=True)},
    }


def counted(scenes: Sequence[Rasters]) -> Counts:
    return reduce(add, (count_scene(*scene) for scene in scenes), Counts())


def random_scene(generator: np.random.Generator, size: int) -> Rasters:
    """Targets in blocks, a prediction that is partly right, with classes, buildings or both left out at times."""
    cells = (generator.random((size, size)) < generator.choice([0, 0.3, 0.9])).astype(np.uint8)
    damage = cells * generator.integers(1, generator.integers(2, 6), (size, size)).astype(np.uint8)
    wrong = generator.random((size, size)) < generator.choice([0, 0.2, 0.7, 1])
    guess = np.where(wrong, generator.integers(0, 5, (size, size)), damage).astype(np.uint8)
    hidden = generator.random((size, size)) < generator.choice([0, 0.3, 1], p=[0.5, 0.4, 0.1])
    localization = np.where(hidden, 0, generator.integers(1, 5, (size, size)) * (guess > 0)).astype(np.uint8)
    target = np.roll(damage, generator.integers(0, 3), axis=0) if generator.random() < 0.5 else damage
    return localization, guess, target, damage


@pytest.mark.parametrize("seed", range(80))
def test_the_score_is_that_of_the_formula_pixel_by_pixel(seed: int) -> None:
    generator = np.random.default_rng(seed)
    scenes = [random_scene(generator, int(generator.integers(1, 24))) for _ in range(generator.integers(1, 6))]
    ours, theirs = counted(scenes).scores().model_dump(), naive_scores(scenes)
    assert ours.keys() == theirs.keys()
    assert all(abs(ours[name] - theirs[name]) < 1e-12 for name in theirs)


raster = arrays(np.uint8, (5, 6), elements=st.integers(0, 4))


@given(st.lists(st.tuples(raster, raster, raster, raster), min_size=1, max_size=4), st.randoms())
@settings(max_examples=60, deadline=None)
def test_counts_add_up_in_any_order_and_score_as_one_picture(scenes: list[Rasters], random: object) -> None:
    together = counted(scenes)
    shuffled = list(scenes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert counted(shuffled) == together == count_scene(*(np.concatenate(part) for part in zip(*scenes, strict=True)))
    ours, theirs = together.scores().model_dump(), naive_scores(scenes)
    assert all(abs(ours[name] - theirs[name]) < 1e-12 for name in theirs)


def picture(*values: int) -> np.ndarray:
    return np.array([values], np.uint8)


ALL, NONE = picture(1, 2, 3, 4), picture(0, 0, 0, 0)


def test_a_perfect_prediction_scores_a_little_over_one_as_in_the_official_formula() -> None:
    scores = count_scene(ALL, ALL, ALL, ALL).scores()
    assert scores.localization_f1 == 1
    assert abs(scores.damage_f1 - 1.000001) < 1e-12
    assert abs(scores.score - 1.0000007) < 1e-12


def test_nothing_predicted_or_nothing_there_is_zero_and_never_nan() -> None:
    for scene in ((NONE, NONE, ALL, ALL), (ALL, ALL, NONE, NONE), (NONE, NONE, NONE, NONE)):
        scores = count_scene(*scene).scores()
        assert (scores.localization_f1, scores.damage_f1_destroyed) == (0, 0)
        assert scores.score == pytest.approx(EMPTY, rel=1e-12)
    assert Counts().scores().score == pytest.approx(EMPTY, rel=1e-12)


def test_localization_takes_any_value_above_zero_as_building() -> None:
    counts = count_scene(picture(4, 2, 0, 3), ALL, picture(1, 1, 1, 0), ALL)
    assert counts.localization == Tally(tp=2, fp=1, fn=1)


def test_damage_is_zeroed_where_localization_predicts_no_building() -> None:
    counts = count_scene(picture(1, 0, 1, 0), ALL, ALL, ALL)
    assert counts.no_damage == Tally(tp=1)
    assert counts.minor_damage == Tally(fn=1)
    assert counts.destroyed == Tally(fn=1)


def test_a_false_building_outside_the_damage_target_costs_damage_nothing() -> None:
    counts = count_scene(ALL, picture(4, 4, 4, 4), picture(1, 0, 0, 0), picture(4, 0, 0, 0))
    assert counts.destroyed == Tally(tp=1)
    assert counts.localization == Tally(tp=1, fp=3)


def test_a_wrong_class_is_a_miss_of_one_and_a_false_find_of_the_other() -> None:
    counts = count_scene(ALL, picture(2, 2, 3, 4), ALL, ALL)
    assert counts.no_damage == Tally(fn=1)
    assert counts.minor_damage == Tally(tp=1, fp=1)


def test_false_finds_count_in_scenes_without_that_class_too() -> None:
    counts = count_scene(ALL, picture(4, 4, 4, 4), ALL, picture(1, 1, 1, 1))
    assert counts.destroyed == Tally(fp=4)


def test_a_class_absent_from_the_target_scores_zero_and_pulls_the_harmonic_mean_down() -> None:
    same = picture(1, 2, 3, 3)
    scores = count_scene(same, same, same, same).scores()
    assert scores.damage_f1_destroyed == 0
    assert scores.damage_f1 == pytest.approx(4 / (3 / 1.000001 + 1e6), rel=1e-12)


def test_localization_and_damage_targets_may_differ() -> None:
    counts = count_scene(ALL, ALL, picture(0, 1, 1, 1), picture(1, 2, 3, 0))
    assert counts.localization == Tally(tp=3, fp=1)
    assert (counts.no_damage.tp, counts.destroyed.support) == (1, 0)


def test_millions_of_scenes_do_not_overflow() -> None:
    one = Tally(tp=2**40, fp=2**40, fn=2**40)
    counts = Counts(localization=one, no_damage=one, minor_damage=one, major_damage=one, destroyed=one)
    total = reduce(add, [counts] * 2**8)
    assert total.localization.tp == 2**48
    assert total.scores().localization_f1 == 0.5


def test_rasters_of_unlike_shape_are_refused() -> None:
    with pytest.raises(SiameseError, match="differ in shape"):
        count_scene(ALL, ALL, ALL, picture(1, 2))


@pytest.mark.parametrize("place", [1, 3])
def test_damage_above_four_is_refused(place: int) -> None:
    scene = [ALL] * 4
    scene[place] = picture(1, 2, 3, 255)
    with pytest.raises(SiameseError, match="exceeds 4"):
        count_scene(*scene)
