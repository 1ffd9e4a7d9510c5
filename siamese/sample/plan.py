"""Plans each scene of a sample set, determined by its number alone, so that a set of any size is well mixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

Event = Literal["wind", "flood", "fire"]
Kind = Literal["woods", "fields", "mixed", "rural", "suburb", "estate", "town", "commercial"]
Severity = Literal["heavy", "moderate", "light", "none"]

SIDE_PX: Final = 1024
EVENTS: Final[tuple[Event, ...]] = ("wind", "flood", "fire")
EMPTY_KINDS: Final[tuple[Kind, ...]] = ("woods", "fields", "mixed")
BUILT_KINDS: Final[tuple[Kind, ...]] = ("suburb", "town", "estate", "commercial", "rural")
SEVERITIES: Final[tuple[Severity, ...]] = ("heavy", "none", "moderate", "light", "moderate")
BLOCK: Final = len(EMPTY_KINDS) + len(BUILT_KINDS)


@dataclass(frozen=True)
class ScenePlan:
    """One scene before anything is drawn.

    Attributes:
        index: Number of the scene in its set.
        event: The disaster type.
        kind: The kind of place.
        severity: How severely it was hit.
        leader: The scene whose ground this one shares; its own index unless it is the second of two neighbours.
        canvas_px: Width of the generated ground, in pixels; wider than a scene for neighbours.
        offset_px: Column of that ground at which this scene begins.
    """

    index: int
    event: Event
    kind: Kind
    severity: Severity
    leader: int
    canvas_px: int = SIDE_PX
    offset_px: int = 0

    @property
    def disaster(self) -> str:
        """Name of the disaster, as in file names."""
        return f"sample-{self.event}"

    @property
    def name(self) -> str:
        """Key of the scene: disaster and number."""
        return f"{self.disaster}_{self.index:08d}"

    @property
    def built(self) -> bool:
        """Whether it contains buildings."""
        return self.kind in BUILT_KINDS


def plan_scene(index: int, seed: int, event: Event | None) -> ScenePlan:
    """Plans scene ``index`` of a set; nothing depends on the number of scenes in the set.

    Each block of eight consecutive scenes holds three without buildings and one of each built kind, in an order
    drawn from the seed. Kind, event and severity rotate against each other from block to block. The last two
    scenes of every second block are neighbours: they overlap by half or share an edge.

    Args:
        index: Number of the scene, from 0.
        seed: Seed of the set.
        event: The disaster type; None for a mix of all.
    """
    block, slot = divmod(index, BLOCK)
    if block % 2 == 1 and slot == BLOCK - 1:
        return _neighbour(plan_scene(index - 1, seed, event))
    place = _order(seed, block)[slot]
    if place < len(EMPTY_KINDS):
        kind, turn = EMPTY_KINDS[place], place
        severity: Severity = SEVERITIES[(place + block) % len(SEVERITIES)]
    else:
        turn = (place - len(EMPTY_KINDS) + 2 * block) % len(BUILT_KINDS)
        kind, severity = BUILT_KINDS[place - len(EMPTY_KINDS)], SEVERITIES[turn]
    struck = event or EVENTS[(turn + block) % len(EVENTS)]
    plan = ScenePlan(index=index, event=struck, kind=kind, severity=severity, leader=index)
    if block % 2 == 1 and slot == BLOCK - 2:
        return _widened(plan, SIDE_PX // 2 if block % 4 == 1 else SIDE_PX)
    return plan


def _order(seed: int, block: int) -> list[int]:
    """Returns the kind of each slot of a block; its last two slots are built-up, as neighbours may take them."""
    rng = np.random.default_rng([seed, block, 0xB10C])
    built = rng.permutation(np.arange(len(EMPTY_KINDS), BLOCK))
    first = rng.permutation(np.concatenate([np.arange(len(EMPTY_KINDS)), built[2:]]))
    return [int(place) for place in (*first, *built[:2])]


def _widened(plan: ScenePlan, step_px: int) -> ScenePlan:
    return ScenePlan(plan.index, plan.event, plan.kind, plan.severity, plan.leader, SIDE_PX + step_px, 0)


def _neighbour(leader: ScenePlan) -> ScenePlan:
    step_px = leader.canvas_px - SIDE_PX
    return ScenePlan(
        leader.index + 1, leader.event, leader.kind, leader.severity, leader.index, leader.canvas_px, step_px
    )
