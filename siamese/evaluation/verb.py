"""The verb ``evaluate``: measures the quality of a checkpoint on scenes."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from siamese.errors import SiameseError
from siamese.evaluation.folder import scan_folder
from siamese.evaluation.observation import Classes, Keep, observe_all
from siamese.evaluation.pairset import split_tasks
from siamese.evaluation.plots import draw_plots
from siamese.evaluation.report import Member, Report, SceneRow, Seen, build_report
from siamese.evaluation.stage import EVALUATION
from siamese.evaluation.truth import Image, SceneTask, SceneTruth
from siamese.manifests import Checkpoint, Evaluation, PairSet, Scores
from siamese.metrics import Counts
from siamese.metrics.official import OfficialScene, official_scenes
from siamese.model import Predictor, Probabilities
from siamese.params import EvaluationParams
from siamese.progress import progress
from siamese.store import ObjectStore, put_blob
from siamese.store.stage import Input
from siamese.tables import csv_bytes

_UNLABELLED = "no labels"


def evaluate(
    checkpoint: Checkpoint,
    pairs: PairSet,
    params: EvaluationParams,
    store: ObjectStore,
    *,
    further: Sequence[Checkpoint] = (),
    predictions: Path | None = None,
    reuse_older: bool = False,
) -> Evaluation:
    """Scores a network on one split of a pair set; if already published, the evaluation is only read.

    Args:
        checkpoint: The network.
        pairs: The pair set that holds the scenes.
        params: Which split, and how to evaluate it.
        store: Where manifests are stored.
        further: More networks; the probabilities of all are averaged.
        predictions: Also write predictions and targets here, in the official naming; the network then runs in any case.
        reuse_older: Whether to use the result of an earlier version of this stage, if any, instead of a new one.

    Returns:
        The published evaluation.

    Raises:
        SiameseError: The split is empty, or an object differs from what was published.
    """
    checkpoints = [checkpoint, *further]
    digests = [one.digest for one in checkpoints]
    inputs: dict[str, Input] = {"checkpoint": checkpoint, "pairs": pairs}
    if further:
        inputs["further"] = further
    origin = EVALUATION.plan(inputs=inputs, params={"evaluation": params})
    found = EVALUATION.find(store, origin, older=reuse_older)
    if found is not None and predictions is None:
        return found
    seen = _judge(checkpoints, split_tasks(pairs, params.split, store), params, store, predictions)[0]
    if found is not None:
        return found
    data = f"{pairs.digest} {params.split}"
    report = build_report(seen, checkpoints=digests, data=data, params=params, skipped={})
    folder = Evaluation.folder(store, origin.digest)
    evaluation = Evaluation(
        origin=origin,
        checkpoint=checkpoint.digest,
        further=tuple(digests[1:]),
        pairs=pairs.digest,
        split=params.split,
        scores=Scores(**{name: getattr(report, name) for name in Scores.model_fields}),
        report=put_blob(store, folder, "report.json", report.model_dump_json(indent=1).encode(), "application/json"),
        scenes=put_blob(store, folder, "scenes.csv", scene_table(seen), "text/csv"),
        plots={
            name: put_blob(store, folder, f"{name}.png", picture, "image/png")
            for name, picture in draw_plots(report).items()
        },
    )
    return evaluation.publish(store)


def evaluate_folder(
    checkpoint: Checkpoint,
    folder: Path,
    params: EvaluationParams,
    store: ObjectStore,
    *,
    further: Sequence[Checkpoint] = (),
    predictions: Path | None = None,
) -> Report:
    """Scores a network on a local folder of scenes in xBD's layout; publishes nothing.

    For an ensemble, each network is also scored on its own, so that its gain can be compared with its cost.

    Args:
        checkpoint: The network.
        folder: ``images/`` and ``labels/``, flat or in split folders; all of its labelled scenes are scored.
        params: How to evaluate; the split is ignored.
        store: Where the network is stored.
        further: More networks; the probabilities of all are averaged.
        predictions: Also write predictions and targets here, in the official naming.

    Raises:
        SiameseError: The folder holds no labelled scene, or a file is missing, broken or not valid; it names the file.
    """
    scenes = scan_folder(folder)
    checkpoints = [checkpoint, *further]
    seen, whole = _judge(checkpoints, scenes.tasks, params, store, predictions)
    alone = [_judge([one], scenes.tasks, params, store, None)[1] for one in checkpoints] if further else []
    return build_report(
        seen,
        checkpoints=[one.digest for one in checkpoints],
        data=str(folder),
        params=params,
        skipped=dict.fromkeys(scenes.unlabelled, _UNLABELLED),
        members=[*alone, whole] if further else (),
    )


def read_report(evaluation: Evaluation, store: ObjectStore) -> Report:
    """Returns the report of a published evaluation."""
    return Report.model_validate_json(evaluation.report.read(store))


def read_counts(evaluation: Evaluation, store: ObjectStore) -> Counts:
    """Returns the pixel counts behind the scores of a published evaluation, whichever version wrote its report."""
    return Counts.model_validate(json.loads(evaluation.report.read(store))["counts"])


def scene_table(seen: Sequence[Seen]) -> bytes:
    """Returns CSV with one row per scene: its figures, and the counts behind the official score."""
    figures = [name for name in SceneRow.model_fields if name != "counts"]
    rows = [SceneRow.of(*one) for one in seen]
    tallies = [f"{name}_{kind}" for name in type(rows[0].counts).model_fields for kind in ("tp", "fp", "fn")]

    def values(row: SceneRow) -> list[object]:
        counts = [number for tally in row.counts.model_dump().values() for number in tally.values()]
        return [getattr(row, name) for name in figures] + counts

    return csv_bytes(figures + tallies, map(values, rows))


class _Timed(Predictor):
    """Measures the seconds that its networks take."""

    seconds = 0.0

    def predict(
        self, pre: Image, post: Image, disaster_type: str | None = None, *, classes_only: bool = False
    ) -> Probabilities:
        started = time.perf_counter()
        prediction = super().predict(pre, post, disaster_type, classes_only=classes_only)
        self.seconds += time.perf_counter() - started
        return prediction


def _judge(
    checkpoints: Sequence[Checkpoint],
    tasks: Sequence[SceneTask],
    params: EvaluationParams,
    store: ObjectStore,
    predictions: Path | None,
) -> tuple[list[Seen], Member]:
    keep = _writer(predictions, tasks) if predictions else None
    predictor = _Timed.load(store, *checkpoints, expected_pairs=len(tasks), flips=params.flips)
    seen: list[Seen] = []
    with progress("evaluate scenes", len(tasks)) as advance:
        for task, observation in observe_all(tasks, predictor, params.iou, workers=params.workers, keep=keep):
            seen.append((task.scene, task.event, observation))
            advance(note=task.scene)
    counts = sum((observation.counts for _, _, observation in seen), Counts())
    return seen, Member(
        models=tuple(one.digest for one in checkpoints),
        scores=counts.scores(),
        gflop=predictor.gflop,
        seconds=predictor.seconds / len(seen),
        runner=predictor.backend,
    )


def _writer(folder: Path, tasks: Sequence[SceneTask]) -> Keep:
    # An underscore ends the number in the official naming.
    named = {task.scene: OfficialScene("test", task.scene.replace("_", "-")) for task in tasks}
    targets = folder / "targets"
    try:
        targets.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SiameseError(
            f"cannot be made: {error.strerror}", where=str(targets), fix="pass another folder"
        ) from error
    strangers = set(official_scenes(targets)) - set(named.values())
    if strangers:
        what = f"holds targets of other scenes, e.g. {min(scene.number for scene in strangers)}"
        raise SiameseError(what, where=str(targets), fix="pass an empty folder")

    def write(task: SceneTask, truth: SceneTruth, classes: Classes) -> None:
        scene = named[task.scene]
        scene.write(folder, "prediction", (classes > 0).astype(classes.dtype), classes)
        scene.write(targets, "target", truth.localization, truth.damage)

    return write
