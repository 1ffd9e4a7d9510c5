"""The common judge of all contestants: official counts, buildings and their ranks for each scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from contest.ranking import NO_SEVERITIES, Severities, building_severities
from siamese.evaluation.truth import SceneTask, SceneTruth
from siamese.geo import check_bands
from siamese.metrics import BuildingCounts, Buildings, Counts, count_buildings, count_scene
from siamese.model.decision import Decided, Probabilities
from siamese.progress import progress

Image = NDArray[np.uint8]
_BANDS = 3


class Network(Protocol):
    """A trained network with its decision."""

    def predict(self, pre: Image, post: Image, disaster_type: str | None = None, /) -> Probabilities:
        """Predicts a pair of ``(H, W, 3)`` uint8 images, given the disaster type."""

    def decide(self, prediction: Probabilities, /) -> Decided:
        """Returns the buildings and classes of a prediction."""


class SceneResult(BaseModel):
    """The counts of one test scene."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scene: str
    event: str
    counts: Counts
    buildings: BuildingCounts
    severities: Severities = Field(NO_SEVERITIES, description="Told for the labelled buildings of each damage class.")


def judge(tasks: Sequence[SceneTask], network: Network, iou: float) -> tuple[SceneResult, ...]:
    """Runs a network on each scene, once.

    Args:
        tasks: The scenes.
        network: The network with its decision.
        iou: Overlap from which a predicted building is a match.
    """
    results = []
    with progress("test scenes", len(tasks)) as advance:
        for task in tasks:
            truth = task.load()
            check_bands(task.scene, (truth.pre.shape[2], truth.post.shape[2]), (_BANDS, _BANDS))
            prediction = network.predict(truth.pre, truth.post, truth.disaster_type)
            counts, buildings = count_decided(truth, network.decide(prediction), iou)
            severities = building_severities(prediction, truth.buildings)
            results.append(
                SceneResult(
                    scene=task.scene, event=task.event, counts=counts, buildings=buildings, severities=severities
                )
            )
            advance(note=task.scene)
    return tuple(results)


def count_decided(truth: SceneTruth, decided: Decided, iou: float) -> tuple[Counts, BuildingCounts]:
    """Returns the official counts and the buildings of one scene; ``iou`` is the overlap from which one matches."""
    counts = count_scene(decided.classes, decided.classes, truth.localization, truth.damage)
    found = Buildings.numbered(decided.buildings, decided.classes)
    return counts, count_buildings(truth.buildings, found, iou)
