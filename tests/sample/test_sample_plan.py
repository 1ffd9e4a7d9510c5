"""What scenes a set holds, whatever is drawn: mix, neighbours, damage."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from siamese.sample.labels import to_degrees
from siamese.sample.plan import EVENTS, SIDE_PX, ScenePlan, plan_scene
from siamese.sample.scene import stage

CORNERS = np.array([(0, 0), (SIDE_PX, SIDE_PX)], float)


def buildings(count: int, seed: int) -> Counter[str]:
    total: Counter[str] = Counter()
    for index in range(count):
        plan = plan_scene(index, seed, None)
        world, harm, _, _ = stage(plan, seed)
        for building, grade, hidden in zip(world.buildings, harm.classes, harm.hidden, strict=True):
            x, y = building.centre - (plan.offset_px, 0)
            if 0 <= x < SIDE_PX and 0 <= y < SIDE_PX:
                total["unknown" if hidden else str(grade)] += 1
    return total


def test_each_block_of_eight_is_a_mix() -> None:
    for seed in (0, 1, 2**40):
        plans = [plan_scene(index, seed, None) for index in range(48)]
        assert sum(not plan.built for plan in plans) == 18
        assert set(Counter(plan.event for plan in plans)) == set(EVENTS)
        assert {plan.kind for plan in plans[:8]} == {
            "woods", "fields", "mixed", "suburb", "estate", "town", "commercial", "rural",
        }  # fmt: skip
        assert Counter(plan.severity for plan in plans if plan.built)["heavy"] >= 5


def test_one_event_makes_the_set_of_that_event() -> None:
    assert {plan_scene(index, 3, "flood").event for index in range(24)} == {"flood"}


def bounds(plan: ScenePlan) -> tuple[float, float, float, float]:
    (west, north), (east, south) = to_degrees(plan, CORNERS).tolist()
    return west, south, east, north


def touching(one: ScenePlan, other: ScenePlan) -> bool:
    a, b = bounds(one), bounds(other)
    slack = 1e-9
    return (
        one.event == other.event
        and a[0] <= b[2] + slack
        and b[0] <= a[2] + slack
        and a[1] <= b[3] + slack
        and b[1] <= a[3] + slack
    )


def test_neighbours_come_in_pairs_and_all_else_lies_apart() -> None:
    plans = [plan_scene(index, 1, None) for index in range(600)]
    pairs = [(i, j) for i in range(600) for j in range(i + 1, 600) if touching(plans[i], plans[j])]
    assert pairs == [(i, i + 1) for i in range(14, 600, 16)]
    assert {plans[j].offset_px for _, j in pairs} == {SIDE_PX // 2, SIDE_PX}
    assert all(plans[i].built and plans[j].built for i, j in pairs)


@pytest.mark.parametrize("seed", [1, 7, 11])
def test_a_small_set_has_every_class_in_good_number(seed: int) -> None:
    total = buildings(24, seed)
    assert min(total[str(grade)] for grade in range(4)) >= 45
    assert total["unknown"] >= 5


def test_shares_are_about_those_of_xbd() -> None:
    total = buildings(120, 2)
    share = {name: count / total.total() for name, count in total.items()}
    assert 0.68 <= share["0"] <= 0.80
    assert 0.06 <= share["1"] <= 0.11
    assert 0.045 <= share["2"] <= 0.09
    assert 0.05 <= share["3"] <= 0.10
    assert 0.015 <= share["unknown"] <= 0.06


def test_damage_keeps_together() -> None:
    """Damaged buildings have damaged neighbours far more often than chance would have it."""
    plan = ScenePlan(0, "fire", "suburb", "moderate", 0)
    world, harm, _, _ = stage(plan, 5)
    centres = np.array([building.centre for building in world.buildings])
    hit = np.array(harm.classes) > 0
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    nearest = np.argsort(apart, axis=1)[:, :4]
    assert hit.mean() < 0.3
    assert hit[nearest][hit].mean() > 2 * hit.mean()
