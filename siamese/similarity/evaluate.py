"""The verb ``evaluate_similarity``: how well a model separates unseen classes; files on the bucket, and MLflow."""

from __future__ import annotations

from siamese.learning.tracking import Tracker
from siamese.manifests import ItemSet, SimilarityEvaluation, SimilarityModel
from siamese.params import SimilarityEvaluationParams
from siamese.similarity.data.reader import need_items
from siamese.similarity.embedder import check_items, load_embedder
from siamese.similarity.plots import draw_plots
from siamese.similarity.report import SimilarityReport, measure
from siamese.similarity.stage import SIMILARITY_EVALUATION
from siamese.store import ObjectStore, put_blob


def evaluate_similarity(
    model: SimilarityModel, items: ItemSet, params: SimilarityEvaluationParams, store: ObjectStore
) -> SimilarityEvaluation:
    """Measures a model on one split of an item set; if already published, the evaluation is only read.

    ROC, DET, area under the curve, equal error rate, false rejects at fixed false accepts, recall among neighbours,
    one- and few-shot episodes, nearest neighbours and a linear probe, distances, and the pairs it is most wrong on.

    Args:
        model: The published model.
        items: The item set; its train split shows what was learned, its test split what is new.
        params: Split, episodes and so on.
        store: Where manifests are stored.

    Raises:
        SiameseError: The split is empty or has no pairs, or the model does not take such items.
    """
    origin = SIMILARITY_EVALUATION.plan(
        inputs={"model": model, "items": items}, params={"similarity_evaluation": params}
    )
    found = SIMILARITY_EVALUATION.find(store, origin)
    if found is not None:
        return found
    embedder = load_embedder(store, model)
    check_items(embedder, items)
    held = need_items(items, params.split, store)
    measured = measure(embedder, held, params.split, params)
    plots = draw_plots(measured, held, model.curves.read(store))
    folder = SimilarityEvaluation.folder(store, origin.digest)
    text = measured.report.model_dump_json(indent=1).encode()
    made = SimilarityEvaluation(
        origin=origin,
        model=model.digest,
        items=items.digest,
        split=params.split,
        scores=measured.report.scores,
        report=put_blob(store, folder, "report.json", text, "application/json"),
        plots={name: put_blob(store, folder, f"{name}.png", data, "image/png") for name, data in plots.items()},
    ).publish(store)
    _track(model, measured.report, plots)
    return made


def read_report(evaluation: SimilarityEvaluation, store: ObjectStore) -> SimilarityReport:
    """Reads every figure of an evaluation.

    Raises:
        SiameseError: The object is missing or differs from what was published.
    """
    return SimilarityReport.model_validate_json(evaluation.report.read(store))


def _track(model: SimilarityModel, report: SimilarityReport, plots: dict[str, bytes]) -> None:
    """Adds figures and plots to the MLflow run that trained the model, if there is one."""
    if model.run_id is None:
        return
    with Tracker(name="", params={}, tags={}, run_id=model.run_id) as tracker:
        scores = report.scores.model_dump(exclude_none=True)
        tracker.log({f"{report.split}_{name}": value for name, value in scores.items()}, 0)
        tracker.keep("similarity-report.json", report.model_dump_json(indent=1).encode(), report.split)
        for name, data in plots.items():
            tracker.keep(f"{name}.png", data, report.split)
