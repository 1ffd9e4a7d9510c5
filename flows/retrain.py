"""From new scenes to a gated model: ingest, pairs, training on the ``gpu`` pool, evaluation, registration, gate."""

from __future__ import annotations

from prefect import flow

from flows.children import run_child
from flows.ingest import ingest_scenes
from flows.report import publish_retraining
from flows.steps import Overrides, begin_run, join_run, step
from flows.train import training_work
from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, Evaluation, ModelVersion, PairSet, SceneCatalog
from siamese.runs import find_outcome, work_key
from siamese.store import ObjectStore

TRAIN_DEPLOYMENT = "train/gpu"


@step
def pair_scenes(run: str, catalog: str) -> str:
    """Cuts accepted scenes into shards; returns the PairSet's digest."""
    from siamese.pairs import build_pairs

    store, params = join_run(run)
    pairs = build_pairs(SceneCatalog.load(store, catalog), params.pairs, store, reuse_older=not params.runs.redo_older)
    pairs.mark_latest(store)
    return pairs.digest


@step
def find_parent(model: str) -> str:
    """Resolves the model to start from to its current Checkpoint; returns that digest."""
    from siamese.registry import resolve_model

    return resolve_model(model, ObjectStore()).digest


@step
def train_on_gpu_pool(run: str, pairs: str, parent: str | None = None) -> str:
    """Trains on a worker of the ``gpu`` pool unless already done; returns the published Checkpoint's digest."""
    store, work = ObjectStore(), training_work(pairs, parent)
    checkpoint = find_outcome(run, work, store)
    if checkpoint is None:
        parameters = {"pairs": pairs, "parent": parent, "run": run}
        child = run_child(TRAIN_DEPLOYMENT, parameters, key=work_key(run, work))
        checkpoint = find_outcome(run, work, store)
        if checkpoint is None:
            fix = "give every worker the same buckets"
            raise SiameseError("completed without a checkpoint on this bucket", where=child.name, fix=fix)
    return Checkpoint.load(store, checkpoint).digest


@step
def evaluate_checkpoint(run: str, checkpoint: str, pairs: str) -> str:
    """Scores the checkpoint on the split named in the params; returns the Evaluation's digest."""
    from siamese.evaluation import evaluate

    store, params = join_run(run)
    evaluation = evaluate(
        Checkpoint.load(store, checkpoint),
        PairSet.load(store, pairs),
        params.evaluation,
        store,
        reuse_older=not params.runs.redo_older,
    )
    evaluation.mark_latest(store)
    return evaluation.digest


@step
def register_checkpoint(run: str, checkpoint: str, evaluation: str) -> str:
    """Registers the checkpoint in MLflow, once; returns the ModelVersion's digest."""
    from siamese.registry import register

    store, params = join_run(run)
    version = register(Checkpoint.load(store, checkpoint), Evaluation.load(store, evaluation), params.promotion, store)
    version.mark_latest(store)
    return version.digest


@step
def pass_gate(run: str, version: str, pairs: str) -> dict[str, object]:
    """Scores candidate and champion on the same split and decides; returns the ledger's entry."""
    from siamese.registry import promote

    store, params = join_run(run)
    candidate, split = ModelVersion.load(store, version), PairSet.load(store, pairs)
    return promote(candidate, split, params.promotion, params.evaluation, store).entry.model_dump(mode="json")


@flow(name="retrain", persist_result=True, result_serializer="json")
def retrain(
    source: str | None = None, overrides: Overrides | None = None, parent: str | None = None, run: str | None = None
) -> dict[str, object]:
    """Trains, evaluates and gates a model on the scenes under a prefix; reuses what is already published.

    Args:
        source: Prefix of the scenes, ``s3://…``; by default ``ingest.source`` of the published params.
        overrides: Changes to the published params for this run, e.g. ``{"training.minutes": 15}``.
        parent: Model to start from instead of ImageNet, e.g. ``models:/siamese-damage@champion``.
        run: Digest of a RunSpecification to use instead of source and overrides.

    Returns:
        The digests of everything that was made, and the gate's decision.
    """
    run = begin_run(overrides, source, run)
    catalog = ingest_scenes(run)
    pairs = pair_scenes(run, catalog)
    start = find_parent(parent) if parent else None
    checkpoint = train_on_gpu_pool(run, pairs, start)
    evaluation = evaluate_checkpoint(run, checkpoint, pairs)
    version = register_checkpoint(run, checkpoint, evaluation)
    decision = pass_gate(run, version, pairs)
    made = {"catalog": catalog, "pairs": pairs, "checkpoint": checkpoint, "evaluation": evaluation, "version": version}
    publish_retraining(made, decision)
    return {"run": run, **made, "decision": decision}
