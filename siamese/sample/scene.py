"""One complete scene: its two images and the state of its buildings."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from siamese.sample.arrays import Bytes, Floats
from siamese.sample.damage import Harm, strike
from siamese.sample.ground import survey
from siamese.sample.layout import lay_out
from siamese.sample.light import Light, after, before, sense
from siamese.sample.plan import SIDE_PX, ScenePlan
from siamese.sample.render import draw
from siamese.sample.world import World


@dataclass(frozen=True)
class Pictured:
    """A drawn scene.

    Attributes:
        pre: (1024, 1024, 3) uint8 RGB.
        post: (1024, 1024, 3) uint8 RGB.
        world: The ground; its coordinates are those of the leader's canvas.
        harm: The effects of the event.
        pre_light: Acquisition before the event.
        post_light: Acquisition after the event.
    """

    pre: Bytes
    post: Bytes
    world: World
    harm: Harm
    pre_light: Light
    post_light: Light


def _streams(plan: ScenePlan, seed: int) -> list[np.random.SeedSequence]:
    return np.random.SeedSequence([seed, plan.leader]).spawn(6)


def stage(plan: ScenePlan, seed: int) -> tuple[World, Harm, Light, Light]:
    """Makes everything of a scene except its images: the ground, the effects of the event, and both acquisitions."""
    laid, struck, lights = (np.random.default_rng(stream) for stream in _streams(plan, seed)[:3])
    world = lay_out(plan, laid)
    harm = strike(plan, world, struck)
    first = before(lights)
    return world, harm, first, after(lights, first, plan.event)


def picture(plan: ScenePlan, seed: int) -> Pictured:
    """Makes a scene; neighbours are cut from the same two images.

    Args:
        plan: The scene to make.
        seed: Seed of the set.
    """
    surveyed, pre_rng, post_rng = (np.random.default_rng(stream) for stream in _streams(plan, seed)[3:])
    world, harm, pre_light, post_light = stage(plan, seed)
    ground = survey(world, surveyed)
    pre = draw(world, ground, pre_light, pre_rng, event=plan.event, harm=None)
    post = _clouded(draw(world, ground, post_light, post_rng, event=plan.event, harm=harm), harm.cloud, plan)
    window = slice(plan.offset_px, plan.offset_px + SIDE_PX)
    return Pictured(
        sense(pre, pre_light, pre_rng)[:, window],
        sense(post, post_light, post_rng)[:, window],
        world,
        harm,
        pre_light,
        post_light,
    )


def _clouded(image: Bytes, cloud: Floats | None, plan: ScenePlan) -> Bytes:
    if cloud is None:
        return image
    colour = (176, 182, 186) if plan.event == "fire" else (226, 228, 230)
    veil = np.full_like(image, colour)
    return cv2.blendLinear(image, veil, 1 - cloud * np.float32(0.93), cloud * np.float32(0.93))
