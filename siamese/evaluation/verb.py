"""The verb ``evaluate``: a checkpoint and scenes in, every figure of how good it is out."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from siamese.errors import SiameseError
from siamese.evaluation.folder import scan_folder
from siamese.evaluation.observation import Classes, Keep, observe_all
from siamese.evaluation.pairset import split_tasks
from siamese.evaluation.plots import draw_plots
from siamese.evaluation.report import Report, SceneRow, Seen, build_report
from siamese.evaluation.truth import SceneTask, SceneTruth
from siamese.manifests import Checkpoint, Evaluation, PairSet, Scores
from siamese.metrics.official import OfficialScene, official_scenes
from siamese.model import Predictor
from siamese.params import EvaluationParams
from siamese.progress import progress
from siamese.store import ObjectStore, put_blob

_UNLABELLED = "no labels"


def evaluate(
    checkpoint: Checkpoint,
    pairs: PairSet,
    params: EvaluationParams,
    store: ObjectStore,
    *,
    predictions: Path | None = None,
) -> Evaluation:
    """Scores a network on one split of a pair set; what is already published is only read.

    Args:
        checkpoint: The network.
        pairs: Where the scenes are.
        params: Which split, and how.
        store: Where manifests lie.
        predictions: Also write predictions and targets here, in the official naming; then the network runs in any case.

    Returns:
        The published evaluation.

    Raises:
        SiameseError: The split holds no scenes, or an object is not what was published.
    """
    inputs = {"checkpoint": checkpoint.digest, "pairs": pairs.digest}
    origin = Evaluation.plan(inputs=inputs, params={"evaluation": params}, module="siamese.evaluation")
    found = Evaluation.find(store, origin.digest)
    if found is not None and predictions is None:
        return found
    seen = _judge(checkpoint, split_tasks(pairs, params.split, store), params, store, predictions)
    if found is not None:
        return found
    data = f"{pairs.digest} {params.split}"
    report = build_report(seen, checkpoint=checkpoint.digest, data=data, params=params, skipped={})
    folder = Evaluation.folder(store, origin.digest)
    evaluation = Evaluation(
        origin=origin,
        checkpoint=checkpoint.digest,
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
    predictions: Path | None = None,
) -> Report:
    """Scores a network on a local folder of scenes in xBD's layout; publishes nothing.

    Args:
        checkpoint: The network.
        folder: ``images/`` and ``labels/``, flat or in split folders; all of its labelled scenes are scored.
        params: How; the split does not matter.
        store: Where the network lies.
        predictions: Also write predictions and targets here, in the official naming.

    Raises:
        SiameseError: The folder holds no labelled scene, or a file is missing, broken or not valid; it names the file.
    """
    scenes = scan_folder(folder)
    seen = _judge(checkpoint, scenes.tasks, params, store, predictions)
    skipped = dict.fromkeys(scenes.unlabelled, _UNLABELLED)
    return build_report(seen, checkpoint=checkpoint.digest, data=str(folder), params=params, skipped=skipped)


def read_report(evaluation: Evaluation, store: ObjectStore) -> Report:
    """The report of a published evaluation."""
    return Report.model_validate_json(evaluation.report.read(store))


def scene_table(seen: Sequence[Seen]) -> bytes:
    """CSV, one row a scene: its figures, and the counts behind the official score."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    figures = [name for name in SceneRow.model_fields if name != "counts"]
    rows = [SceneRow.of(*one) for one in seen]
    tallies = [f"{name}_{kind}" for name in type(rows[0].counts).model_fields for kind in ("tp", "fp", "fn")]
    writer.writerow(figures + tallies)
    for row in rows:
        counts = [number for tally in row.counts.model_dump().values() for number in tally.values()]
        writer.writerow([getattr(row, name) for name in figures] + counts)
    return out.getvalue().encode()


def _judge(
    checkpoint: Checkpoint,
    tasks: Sequence[SceneTask],
    params: EvaluationParams,
    store: ObjectStore,
    predictions: Path | None,
) -> list[Seen]:
    keep = _writer(predictions, tasks) if predictions else None
    predictor = Predictor.load(store, checkpoint, expected_pairs=len(tasks), flips=params.flips)
    seen: list[Seen] = []
    with progress("evaluate scenes", len(tasks)) as advance:
        for task, observation in observe_all(tasks, predictor, params.iou, workers=params.workers, keep=keep):
            seen.append((task.scene, task.event, observation))
            advance(note=task.scene)
    return seen


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
