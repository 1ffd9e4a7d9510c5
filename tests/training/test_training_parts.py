"""Losses, crops, augmentation, schedule and fitting, each by what it promises."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese.learning.augment import recoloured
from siamese.learning.schedule import clock_of, rate_factor, share_of
from siamese.metrics import Counts, Tally, count_scene
from siamese.model import Decision, Probabilities, calibrate, class_raster
from siamese.params import TrainingParams
from siamese.training.augment import Crop, augment
from siamese.training.calibration import USUAL_TEMPERATURE, CalibrationEvidence, fit_calibration
from siamese.training.crops import window_sum
from siamese.training.fitting import Evidence, Votes, agreed, candidate_decisions, fit_votes
from siamese.training.losses import damage_loss, localization_loss
from siamese.training.pictures import example_row

PARAMS = TrainingParams()


def mask() -> torch.Tensor:
    found = torch.zeros(1, 12, 12, dtype=torch.uint8)
    for value in (1, 2, 3, 4):
        found[:, 2 * value : 2 * value + 2, 2:8] = value
    found[:, :, 9:] = 255
    return found


def test_a_perfect_answer_costs_nothing_and_a_wrong_one_much() -> None:
    truth = mask()
    building = torch.where((truth > 0), 20.0, -20.0)
    assert localization_loss(building, truth, PARAMS) < 0.01 < 1 < localization_loss(-building, truth, PARAMS)
    classes = torch.nn.functional.one_hot((truth.long() - 1).clamp(0, 3), 4).permute(0, 3, 1, 2).float() * 40
    assert damage_loss(classes, truth, PARAMS) < 0.01 < 1 < damage_loss(-classes, truth, PARAMS)


def test_ignored_pixels_and_damage_outside_buildings_have_no_gradient() -> None:
    truth = mask()
    building = torch.zeros(1, 12, 12, requires_grad=True)
    classes = torch.zeros(1, 4, 12, 12, requires_grad=True)
    (localization_loss(building, truth, PARAMS) + damage_loss(classes, truth, PARAMS)).backward()
    assert building.grad is not None
    assert classes.grad is not None
    assert not building.grad[truth == 255].any()
    assert building.grad[truth != 255].all()
    outside = (truth == 0) | (truth == 255)
    assert not classes.grad.abs().sum(1)[outside].any()
    assert classes.grad.abs().sum(1)[~outside].all()


@pytest.mark.parametrize("value", [0, 255])
def test_a_crop_without_buildings_or_without_knowledge_gives_a_finite_loss(value: int) -> None:
    truth = torch.full((1, 8, 8), value, dtype=torch.uint8)
    logits = torch.zeros(1, 5, 8, 8, requires_grad=True)
    loss = localization_loss(logits[:, 0], truth, PARAMS) + damage_loss(logits[:, 1:], truth, PARAMS)
    loss.backward()
    assert torch.isfinite(loss)


def test_rare_classes_weigh_more() -> None:
    truth = mask()
    wrong = torch.zeros(1, 4, 12, 12)
    heavy = PARAMS.model_copy(update={"class_weights": (1.0, 10.0, 1.0, 1.0)})
    better = wrong.clone()
    better[:, 1][truth == 2] = 5
    gain = damage_loss(wrong, truth, PARAMS) - damage_loss(better, truth, PARAMS)
    assert damage_loss(wrong, truth, heavy) - damage_loss(better, truth, heavy) > gain


def crop(seed: int = 0, side: int = 64) -> Crop:
    rng = np.random.default_rng(seed)
    pre, post = rng.integers(0, 256, (2, side, side, 3), np.uint8)
    return Crop(pre, post, rng.integers(0, 5, (side, side), np.uint8))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_augmentation_is_a_function_of_its_seed_and_turns_all_three_alike(seed: int) -> None:
    still = PARAMS.model_copy(update={"colour_jitter": 0.0, "post_shift_px": 0, "post_rotate_deg": 0, "post_scale": 0})
    given_crop = crop()
    same = Crop(given_crop.pre, given_crop.pre, given_crop.pre[..., 0])
    one = augment(same, still, np.random.default_rng(seed))
    assert np.array_equal(one.pre, one.post)
    assert np.array_equal(one.pre[..., 0], one.mask)
    first, second = (augment(given_crop, PARAMS, np.random.default_rng(seed)) for _ in range(2))
    for name in ("pre", "post", "mask"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert np.array_equal(np.bincount(first.mask.ravel()), np.bincount(given_crop.mask.ravel()))


def test_only_the_post_image_is_misregistered() -> None:
    moved = PARAMS.model_copy(update={"colour_jitter": 0.0, "post_shift_px": 9.0})
    given_crop = crop()
    found = [augment(given_crop, moved, np.random.default_rng(seed)) for seed in range(20)]
    kept = sorted(given_crop.pre.ravel().tolist())
    assert all(sorted(one.pre.ravel().tolist()) == kept for one in found)
    assert any(sorted(one.post.ravel().tolist()) != sorted(given_crop.post.ravel().tolist()) for one in found)


@pytest.mark.parametrize("bands", [1, 2, 4, 5, 9])
def test_any_number_of_bands_is_augmented_as_each_band_alone(bands: int) -> None:
    moved = PARAMS.model_copy(update={"colour_jitter": 0.0, "post_shift_px": 9.0, "post_rotate_deg": 5.0})
    pre, post = np.random.default_rng(0).integers(0, 256, (2, 64, 64, bands), np.uint8)
    mask = crop().mask
    for seed in range(4):
        whole = augment(Crop(pre, post, mask), moved, np.random.default_rng(seed))
        for band in range(bands):
            one = Crop(pre[..., band : band + 1], post[..., band : band + 1], mask)
            alone = augment(one, moved, np.random.default_rng(seed))
            assert np.array_equal(whole.pre[..., band : band + 1], alone.pre)
            # OpenCV warps two bands by 32nds of a pixel, one, three and four by any fraction.
            assert np.abs(whole.post[..., band : band + 1].astype(int) - alone.post).max() <= 8
            assert np.array_equal(whole.mask, alone.mask)


@pytest.mark.parametrize("bands", [1, 2, 4, 6])
def test_bands_that_are_no_colours_change_each_for_itself(bands: int) -> None:
    image = np.random.default_rng(bands).integers(0, 256, (64, 64, bands), np.uint8)
    for seed in range(4):
        changed, again = (recoloured(image, 0.5, np.random.default_rng(seed)) for _ in range(2))
        assert changed.shape == image.shape
        assert np.array_equal(changed, again)
        assert not np.array_equal(changed, image)
        for band in range(bands):
            order = np.argsort(image[..., band], axis=None, kind="stable")
            values, tones = image[..., band].ravel()[order], changed[..., band].ravel()[order]
            assert (np.diff(tones.astype(int)) >= 0).all(), "brighter stays brighter"
            assert len(np.unique(np.stack([values, tones]), axis=1).T) == len(np.unique(values)), "a table"


@pytest.mark.parametrize("bands", [(3, 1), (4, 4), (1, 2)])
def test_the_pictures_of_a_training_show_any_number_of_bands(bands: tuple[int, int]) -> None:
    pre, post = (np.random.default_rng(0).integers(0, 256, (96, 96, count), np.uint8) for count in bands)
    row = example_row(pre, post, crop(side=96).mask, crop(side=96).mask)
    assert row.shape == (320, 1280, 3)
    second = row[:, 320:640]
    assert (np.ptp(second, axis=2) == 0).all() == (bands[1] < 3)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 36), st.integers(0, 1000))
def test_a_windows_sum_is_that_of_its_pixels(row: int, col: int, size: int, seed: int) -> None:
    blocks = np.random.default_rng(seed).random((6, 6))
    pixels = np.kron(blocks, np.ones((16, 16))) / 256
    assert window_sum(blocks, row, col, size, 16) == pytest.approx(pixels[row : row + size, col : col + size].sum())


def test_progress_goes_by_steps_or_minutes_and_the_rate_rises_then_falls() -> None:
    assert share_of(10, 100, 999, None) == 0.1
    assert share_of(10, 100, 60, 2.0) == 0.5
    assert share_of(90, 100, 60, 2.0) == 0.9
    assert share_of(0, 100, 999, 2.0) == 1
    rates = [rate_factor(share, 0.1) for share in np.linspace(0, 1, 101)]
    assert max(rates) == rates[10] == 1
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert min(rates) > 0


def test_the_processor_clock_counts_the_work_of_each_thread_and_the_wall_clock_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(time, "process_time", lambda: 6.0)
        patched.setattr(time, "monotonic", lambda: 40.0)
        processor, wall = clock_of("processor")(), clock_of("wall")()
    assert (processor, wall) == (6 / torch.get_num_threads(), 40)


def predicted(seed: int) -> tuple[Probabilities, np.ndarray]:
    """Buildings as squares with noisy probabilities; class 2 is often taken for class 1."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((96, 96), np.uint8)
    for place in range(36):
        row, col = 16 * (place // 6) + 2, 16 * (place % 6) + 2
        truth[row : row + 10, col : col + 10] = rng.integers(1, 5)
    building = np.clip(np.where(truth > 0, 0.45, 0.1) + rng.normal(0, 0.08, truth.shape), 0, 1)
    damage = np.full((4, *truth.shape), 0.05)
    for value in range(1, 5):
        damage[value - 1][truth == value] = 1
    damage[0][truth == 2] = 1.3
    damage = damage / damage.sum(0)
    return Probabilities(building.astype(np.float32), damage.astype(np.float32)), truth


def test_a_fitted_decision_scores_better_than_the_default() -> None:
    start = Decision(minimum_px=1)
    evidence, scenes = Evidence(start), [predicted(seed) for seed in range(3)]
    for prediction, truth in scenes:
        evidence.add(prediction, (truth > 0).astype(np.uint8), truth)
    default, decision, *others = candidate_decisions(evidence)
    assert default == start
    assert all(other.minimum_px == 1 for other in others)
    assert all(other.damaged_building <= other.building for other in others)
    assert 0.2 <= decision.building < 0.45
    assert decision.damaged_building == decision.building
    votes = Votes()
    for prediction, truth in scenes:
        votes.add(prediction, truth, decision)
    fitted = fit_votes(votes, decision)
    assert fitted.class_weights[1] > 1

    def score(chosen: Decision) -> float:
        counts = Counts()
        for prediction, truth in scenes:
            raster = class_raster(prediction, chosen)
            counts += count_scene(raster, raster, (truth > 0).astype(np.uint8), truth)
        return counts.scores().score

    assert score(Decision()) < score(decision) < score(fitted)


def test_a_network_that_is_never_sure_may_do_without_a_peak() -> None:
    start = Decision(building=0.7, damaged_building=0.7, building_peak=0.99)
    evidence, scenes = Evidence(start), [predicted(seed) for seed in range(6)]
    for prediction, truth in scenes:
        evidence.add(prediction, (truth > 0).astype(np.uint8), truth)
    candidates = candidate_decisions(evidence)
    counts = []
    for candidate in candidates:
        rasters = [class_raster(prediction, candidate) for prediction, _ in scenes]
        counts.append(
            [
                count_scene(raster, raster, (truth > 0).astype(np.uint8), truth)
                for raster, (_, truth) in zip(rasters, scenes, strict=True)
            ]
        )
    assert candidates[agreed(candidates, counts)].building_peak == 0


def test_nothing_to_fit_on_leaves_the_default() -> None:
    assert candidate_decisions(Evidence(Decision(building=0.4))) == (Decision(building=0.4),)
    assert fit_votes(Votes(), Decision()) == Decision()
    assert agreed((Decision(), Decision(building=0.4)), ((), ())) == 0
    assert fit_calibration(CalibrationEvidence()) == {
        "building_temperature": 1.0,
        "damage_temperature": 1.6,
        "damage_biases": (0.0, 0.0, 0.0, 0.0),
    }


def counted(*right: int) -> list[Counts]:
    """A scene each, of 10,000 pixels of every class, so many of them right."""
    tallies = (Tally(tp=tp, fp=10_000 - tp, fn=10_000 - tp) for tp in right)
    return [Counts(localization=t, no_damage=t, minor_damage=t, major_damage=t, destroyed=t) for t in tallies]


def test_another_decision_is_taken_only_when_nearly_all_resamples_agree() -> None:
    decisions = Decision(), Decision(building=0.4), Decision(building=0.3)
    default = counted(5000, 5000, 5000, 5000)
    lucky = counted(5000, 4900, 4900, 9900)
    assert sum(lucky, Counts()).scores().score > sum(default, Counts()).scores().score
    better, best = counted(5200, 5100, 5100, 5100), counted(5200, 5300, 5100, 5300)
    assert agreed(decisions, (default, lucky, lucky)) == 0
    assert agreed(decisions, (default, lucky, better)) == 2
    assert agreed(decisions, (default, best, better)) == 1


def test_calibration_finds_the_bias_of_weighted_training_and_takes_it_back() -> None:
    rng = np.random.default_rng(0)
    shape = (100, 100)
    evidence = CalibrationEvidence()
    for _ in range(100):
        logits = rng.normal(0, 1.5, (4, *shape))
        true = np.exp(logits) / np.exp(logits).sum(0)
        truth = (true.cumsum(0) < rng.random(shape)).sum(0).clip(max=3) + 1
        tilted = np.exp(0.5 * logits + np.log([1, 3, 3, 2])[:, None, None])
        raw = Probabilities(np.full(shape, 0.9, np.float32), (tilted / tilted.sum(0)).astype(np.float32))
        evidence.add(raw, np.where(rng.random(shape) < 0.9, truth, 0).astype(np.uint8))
    decision = Decision().model_copy(update=fit_calibration(evidence))
    assert 0.45 < decision.damage_temperature < 0.6
    told = calibrate(raw, decision)
    assert np.abs(told.damage - true).mean() < 0.2 * np.abs(raw.damage - true).mean()
    assert np.array_equal(class_raster(raw, decision), class_raster(raw, Decision()))


def test_a_few_scenes_on_which_a_network_is_wrong_do_not_move_the_calibration() -> None:
    damage = np.full((4, 100, 100), 0.01, np.float32)
    damage[0] = 0.97
    mask = np.where(np.arange(10_000) % 10, 3, 1).reshape(100, 100).astype(np.uint8)
    fitted = []
    for scenes in (19, 30):
        evidence = CalibrationEvidence()
        for _ in range(scenes):
            evidence.add(Probabilities(np.full((100, 100), 0.9, np.float32), damage), mask)
        fitted.append(Decision().model_copy(update=fit_calibration(evidence)))
    few, many = fitted
    assert (few.damage_temperature, few.damage_biases) == (USUAL_TEMPERATURE, (0, 0, 0, 0))
    assert many.damage_temperature > 4
    assert many.damage_biases[2] > 1
