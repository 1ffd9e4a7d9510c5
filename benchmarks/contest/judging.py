"""The judge of all contestants: the official counts and the buildings of each scene, from class rasters alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from siamese.evaluation.truth import SceneTask
from siamese.imagery.bands import check_bands
from siamese.metrics import BuildingCounts, Buildings, Counts, count_buildings, count_scene
from siamese.progress import progress

Image = NDArray[np.uint8]
_BANDS = 3


class Classify(Protocol):
    """A network with its decision."""

    def __call__(self, pre: Image, post: Image, disaster_type: str | None = None, /) -> NDArray[np.uint8]:
        """Takes ``(H, W, 3)`` uint8 and what struck; gives ``(H, W)`` uint8: 0 background, 1..4 damage."""


class SceneResult(BaseModel):
    """What was counted of one test scene."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scene: str
    event: str
    counts: Counts
    buildings: BuildingCounts


def judge(tasks: Sequence[SceneTask], classify: Classify, iou: float) -> tuple[SceneResult, ...]:
    """Asks a network about each scene, once.

    Args:
        tasks: The scenes.
        classify: The network with its decision.
        iou: Overlap from which a predicted building is a match.
    """
    results = []
    with progress("test scenes", len(tasks)) as advance:
        for task in tasks:
            truth = task.load()
            check_bands(task.scene, (truth.pre.shape[2], truth.post.shape[2]), (_BANDS, _BANDS))
            classes = classify(truth.pre, truth.post, truth.disaster_type)
            counts = count_scene(classes, classes, truth.localization, truth.damage)
            buildings = count_buildings(truth.buildings, Buildings.from_classes(classes), iou)
            results.append(SceneResult(scene=task.scene, event=task.event, counts=counts, buildings=buildings))
            advance(note=task.scene)
    return tuple(results)
