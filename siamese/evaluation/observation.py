"""Evaluates scenes: compares a network's predictions with the truth, in one small record per scene."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from siamese.classes import UNCLASSIFIED
from siamese.evaluation.truth import SceneTask, SceneTruth
from siamese.geo import check_bands
from siamese.metrics import (
    BuildingCounts,
    Buildings,
    Counts,
    Reliability,
    confusion,
    count_buildings,
    count_reliability,
    count_scene,
    judge_buildings,
    match_buildings,
)
from siamese.metrics.buildings import EMPTY, Table, add_tables, as_table
from siamese.model import Decision, Predictor, Probabilities, calibrate, decide

Classes = NDArray[np.uint8]
Keep = Callable[[SceneTask, SceneTruth, Classes], None]


class Observation(BaseModel):
    """All counts of one scene or of many; additive, with ``Observation()`` as zero."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    counts: Counts = Field(Counts(), description="Pixels behind the official score.")
    pixels: Table = Field(EMPTY, description="Rows: official damage target 0-4. Columns: predicted class 0-4.")
    buildings: BuildingCounts = BuildingCounts()
    unclassified: int = Field(0, ge=0, description="Labelled buildings whose damage nobody could tell.")
    building_reliability: Reliability = Field(Reliability(), description="Of pixels: is it building?")
    damage_reliability: Reliability = Field(Reliability(), description="Of building pixels: is it the likeliest class?")
    raw_building_reliability: Reliability = Field(Reliability(), description="The same before calibration.")
    raw_damage_reliability: Reliability = Field(Reliability(), description="The same before calibration.")
    confidence: Reliability = Field(Reliability(), description="Of predicted buildings: right in place and class?")

    def __add__(self, other: Self) -> Self:
        return type(self)(
            counts=self.counts + other.counts,
            pixels=add_tables(self.pixels, other.pixels),
            buildings=self.buildings + other.buildings,
            unclassified=self.unclassified + other.unclassified,
            building_reliability=self.building_reliability + other.building_reliability,
            damage_reliability=self.damage_reliability + other.damage_reliability,
            raw_building_reliability=self.raw_building_reliability + other.raw_building_reliability,
            raw_damage_reliability=self.raw_damage_reliability + other.raw_damage_reliability,
            confidence=self.confidence + other.confidence,
        )


def observe(truth: SceneTruth, raw: Probabilities, decision: Decision, iou: float) -> tuple[Classes, Observation]:
    """Applies the decision to one scene and evaluates it.

    Args:
        truth: The labels. Where an image holds no data, nothing is predicted or counted, as on maps.
        raw: Probabilities as the network returned them.
        decision: Turns them into classes.
        iou: Overlap from which two buildings match.

    Returns:
        (H, W) uint8 in 0..4, the predicted classes; and the counts.
    """
    raw = raw.without(truth.unseen)
    prediction, decided = calibrate(raw, decision), decide(raw, decision)
    classes = decided.classes
    found = Buildings.numbered(decided.buildings, classes)
    match = match_buildings(truth.buildings, found, iou)
    right, judged = judge_buildings(truth.buildings, found, match)
    confidence = building_confidence(prediction, found)
    return classes, Observation(
        counts=count_scene(classes, classes, truth.localization, truth.damage),
        pixels=as_table(confusion(truth.damage, classes)),
        buildings=count_buildings(truth.buildings, found, iou, match),
        unclassified=int(np.count_nonzero(truth.buildings.classes == UNCLASSIFIED)),
        building_reliability=_building_reliability(truth, prediction),
        damage_reliability=damage_reliability(truth, prediction),
        raw_building_reliability=_building_reliability(truth, raw),
        raw_damage_reliability=damage_reliability(truth, raw),
        confidence=count_reliability(confidence[judged], right[judged]),
    )


def building_confidence(prediction: Probabilities, found: Buildings) -> NDArray[np.float32]:
    """Returns each predicted building's confidence, ``(n,)``: P(building) times P(its class), as on maps."""
    inside = np.flatnonzero(found.ids)
    ids = found.ids.ravel()[inside] - 1
    count = len(found.classes)
    pixels = np.maximum(np.bincount(ids, minlength=count), 1)
    building = np.bincount(ids, prediction.building.ravel()[inside], count) / pixels
    own = prediction.damage.reshape(len(prediction.damage), -1)[found.classes[ids] - 1, inside]
    return (building * np.bincount(ids, own, count) / pixels).astype(np.float32)


def damage_reliability(truth: SceneTruth, prediction: Probabilities) -> Reliability:
    """Returns the reliability of the likeliest damage class, over pixels of classified labelled buildings."""
    known = (truth.mask > 0) & (truth.mask != UNCLASSIFIED)
    damage = prediction.damage[:, known]
    return count_reliability(damage.max(axis=0), damage.argmax(axis=0) + 1 == truth.mask[known])


def _building_reliability(truth: SceneTruth, prediction: Probabilities) -> Reliability:
    """Returns the reliability of the building probability, over all pixels except un-classified ones."""
    certain = truth.mask != UNCLASSIFIED
    return count_reliability(prediction.building[certain], truth.mask[certain] > 0)


def observe_all(
    tasks: Iterable[SceneTask], predictor: Predictor, iou: float, *, workers: int, keep: Keep | None = None
) -> Iterator[tuple[SceneTask, Observation]]:
    """Evaluates scenes in order; reading and counting run alongside the network, with only a few scenes held at once.

    Args:
        tasks: The scenes.
        predictor: The network.
        iou: Overlap from which two buildings match.
        workers: Number of scenes read and counted at once.
        keep: Called with each scene's class raster, e.g. to write it.
    """

    def judge(task: SceneTask, truth: SceneTruth, prediction: Probabilities) -> tuple[SceneTask, Observation]:
        classes, observation = observe(truth, prediction, predictor.decision, iou)
        if keep is not None:
            keep(task, truth, classes)
        return task, observation

    with ThreadPoolExecutor(workers, "evaluate") as pool:
        reading: deque[tuple[SceneTask, Future[SceneTruth]]] = deque()
        judging: deque[Future[tuple[SceneTask, Observation]]] = deque()

        def predict() -> None:
            task, future = reading.popleft()
            truth = future.result()
            check_bands(task.scene, (truth.pre.shape[2], truth.post.shape[2]), predictor.bands)
            judging.append(pool.submit(judge, task, truth, _predict(predictor, truth)))

        for task in tasks:
            reading.append((task, pool.submit(task.load)))
            if len(reading) > workers:
                predict()
            if len(judging) > workers:
                yield judging.popleft().result()
        while reading:
            predict()
        while judging:
            yield judging.popleft().result()


def _predict(predictor: Predictor, truth: SceneTruth) -> Probabilities:
    # Where damage is known it is counted even if no building is found.
    known = (truth.mask > 0) & (truth.mask != UNCLASSIFIED)
    return predictor.predict(truth.pre, truth.post, truth.disaster_type, classes_only=not known.any())
