"""Judging scenes: what a network predicts beside what is known, one small record a scene."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from siamese.classes import UNCLASSIFIED
from siamese.evaluation.truth import SceneTask, SceneTruth, seen
from siamese.metrics import (
    BuildingCounts,
    Buildings,
    Counts,
    Reliability,
    confusion,
    count_buildings,
    count_reliability,
    count_scene,
)
from siamese.metrics.buildings import EMPTY, Table, add_tables, as_table
from siamese.model import Prediction, Predictor, class_raster

Classes = NDArray[np.uint8]
Keep = Callable[[SceneTask, SceneTruth, Classes], None]


class Observation(BaseModel):
    """Everything counted of one scene or of many; adds up, and ``Observation()`` is nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    counts: Counts = Field(Counts(), description="Pixels behind the official score.")
    pixels: Table = Field(EMPTY, description="Rows: official damage target 0-4. Columns: predicted class 0-4.")
    buildings: BuildingCounts = BuildingCounts()
    unclassified: int = Field(0, ge=0, description="Labelled buildings whose damage nobody could tell.")
    building_reliability: Reliability = Reliability()
    damage_reliability: Reliability = Reliability()

    def __add__(self, other: Self) -> Self:
        return type(self)(
            counts=self.counts + other.counts,
            pixels=add_tables(self.pixels, other.pixels),
            buildings=self.buildings + other.buildings,
            unclassified=self.unclassified + other.unclassified,
            building_reliability=self.building_reliability + other.building_reliability,
            damage_reliability=self.damage_reliability + other.damage_reliability,
        )


def observe(truth: SceneTruth, prediction: Prediction, classes: Classes, iou: float) -> Observation:
    """Judges one scene.

    Args:
        truth: What is known.
        prediction: Probabilities.
        classes: (H, W) uint8 in 0..4, the prediction once decided.
        iou: Overlap from which two buildings match.
    """
    certain = truth.mask != UNCLASSIFIED
    known = certain & (truth.mask > 0)
    damage = prediction.damage[:, known]
    return Observation(
        counts=count_scene(classes, classes, truth.localization, truth.damage),
        pixels=as_table(confusion(truth.damage, classes)),
        buildings=count_buildings(truth.buildings, Buildings.from_classes(classes), iou),
        unclassified=int(np.count_nonzero(truth.buildings.classes == UNCLASSIFIED)),
        building_reliability=count_reliability(prediction.building[certain], truth.mask[certain] > 0),
        damage_reliability=count_reliability(damage.max(axis=0), damage.argmax(axis=0) + 1 == truth.mask[known]),
    )


def observe_all(
    tasks: Iterable[SceneTask], predictor: Predictor, iou: float, *, workers: int, keep: Keep | None = None
) -> Iterator[tuple[SceneTask, Observation]]:
    """Judges scenes in order; reading and counting go on beside the network, and only a few scenes are held at once.

    Args:
        tasks: The scenes.
        predictor: The network.
        iou: Overlap from which two buildings match.
        workers: Scenes read and counted at once.
        keep: Given each scene's class raster, e.g. to write it.
    """

    def judge(task: SceneTask, truth: SceneTruth, prediction: Prediction) -> tuple[SceneTask, Observation]:
        classes = class_raster(prediction, predictor.decision)
        if keep is not None:
            keep(task, truth, classes)
        return task, observe(truth, prediction, classes, iou)

    with ThreadPoolExecutor(workers, "evaluate") as pool:
        reading: deque[tuple[SceneTask, Future[SceneTruth]]] = deque()
        judging: deque[Future[tuple[SceneTask, Observation]]] = deque()

        def predict() -> None:
            task, future = reading.popleft()
            truth = future.result()
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


def _predict(predictor: Predictor, truth: SceneTruth) -> Prediction:
    pre, post = (seen(image, bands) for image, bands in zip((truth.pre, truth.post), predictor.bands, strict=True))
    # Where damage is known it is counted even if no building is found.
    known = (truth.mask > 0) & (truth.mask != UNCLASSIFIED)
    return predictor.predict(pre, post, truth.disaster_type, classes_only=not known.any())
