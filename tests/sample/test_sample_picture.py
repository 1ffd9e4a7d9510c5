"""What the pictures show: damage that can be told, and a second date that differs in all else too."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from siamese.sample.plan import Event, ScenePlan, plan_scene
from siamese.sample.scene import Pictured, picture


def patches(drawn: Pictured) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Class, pre and post patch of each building wholly inside, each at its own place on its own date."""
    found = []
    for building, grade, hidden in zip(drawn.world.buildings, drawn.harm.classes, drawn.harm.hidden, strict=True):
        low, high = building.outline.min(0).astype(int) - 2, building.outline.max(0).astype(int) + 3
        if hidden or low.min() < 10 or high.max() > 1014 or (high - low).min() < 18:
            continue
        before, after = (
            image[low[1] : high[1], low[0] : high[0]].astype(np.float32) for image in (drawn.pre, drawn.post)
        )
        found.append((grade, before, after))
    return found


def roughness(patch: np.ndarray) -> float:
    grey = patch.mean(-1)
    return float((grey - cv2.GaussianBlur(grey, (0, 0), 2)).std())


@pytest.mark.parametrize("event", ["wind", "fire"])
def test_ruins_are_rough_where_roofs_are_smooth(event: Event) -> None:
    drawn = picture(ScenePlan(0, event, "suburb", "heavy", 0), 3)
    rough = {grade: [roughness(post) for g, _, post in patches(drawn) if g == grade] for grade in (0, 3)}
    assert min(map(len, rough.values())) >= 15
    assert np.quantile(rough[3], 0.1) > np.quantile(rough[0], 0.9)


def test_a_flood_is_brown_around_major_damage_and_green_around_none() -> None:
    drawn = picture(ScenePlan(0, "flood", "suburb", "heavy", 0), 3)
    around: dict[int, list[float]] = {0: [], 2: []}
    for building, grade in zip(drawn.world.buildings, drawn.harm.classes, strict=True):
        if grade not in around:
            continue
        ring = np.zeros((1024, 1024), np.uint8)
        outline = np.round(building.outline + drawn.post_light.shift_px).astype(np.int32)
        cv2.polylines(ring, [outline], True, 1, 30)
        cv2.fillPoly(ring, [outline], 0)
        if ring.sum() > 500:
            red, green, _ = drawn.post[ring > 0].astype(float).mean(0)
            around[grade].append(red - green)
    assert min(map(len, around.values())) >= 15
    assert np.median(around[2]) > np.median(around[0]) + 8


def test_without_damage_the_second_date_still_differs_by_light_and_by_a_few_pixels() -> None:
    drawn = picture(ScenePlan(0, "wind", "estate", "none", 0), 4)
    assert not any(drawn.harm.classes)
    assert np.abs(drawn.pre.astype(int) - drawn.post).mean() > 8
    shift, _ = cv2.phaseCorrelate(*(np.float32(image.mean(-1)) for image in (drawn.pre, drawn.post)))
    assert 1 <= np.hypot(*drawn.post_light.shift_px) <= 5
    assert np.allclose(shift, drawn.post_light.shift_px, atol=1.5)


def test_plain_differencing_does_not_tell_damage() -> None:
    """Over scenes with unlike light, the mean difference of undamaged roofs overlaps that of damaged ones widely."""
    none, hit = [], []
    for seed in (1, 2, 3):
        for grade, pre, post in patches(picture(ScenePlan(0, "wind", "suburb", "heavy", 0), seed)):
            (hit if grade else none).append(float(np.abs(pre - post).mean()))
    share = np.mean(np.array(hit)[:, None] > np.array(none)[None])
    assert min(len(none), len(hit)) > 50
    assert share < 0.85


def test_overlapping_neighbours_show_the_same_ground() -> None:
    west, east = plan_scene(14, 1, None), plan_scene(15, 1, None)
    assert (west.offset_px, east.offset_px, east.leader) == (0, 512, 14)
    one, other = picture(west, 1), picture(east, 1)
    assert np.array_equal(one.pre[:, 512:], other.pre[:, :512])
    assert np.array_equal(one.post[:, 512:], other.post[:, :512])
