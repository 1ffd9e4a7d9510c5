"""New scenes to a promoted model: ingest, pairs, training on the ``gpu`` pool, evaluation, registration, gate."""

from __future__ import annotations

from typing import cast

from prefect import flow
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from flows.report import publish_retraining
from flows.steps import Overrides, read_params, step
from siamese.errors import SiameseError, TransientError
from siamese.evaluation import evaluate
from siamese.ingest import ingest
from siamese.manifests import Checkpoint, Evaluation, ModelVersion, PairSet, SceneCatalog
from siamese.pairs import build_pairs
from siamese.registry import promote, register, resolve_model
from siamese.store import ObjectStore, S3Uri
from siamese.training import plan_training

TRAIN_DEPLOYMENT = "train/gpu"
POLL_S = 5


@step
def ingest_scenes(overrides: Overrides) -> str:
    """Checks every scene under the source; gives the SceneCatalog's digest."""
    store, params = ObjectStore(), read_params(overrides)
    catalog = ingest(S3Uri.parse(params.ingest.source), params.ingest, store)
    catalog.mark_latest(store)
    return catalog.digest


@step
def pair_scenes(catalog: str, overrides: Overrides) -> str:
    """Cuts accepted scenes into shards; gives the PairSet's digest."""
    store = ObjectStore()
    pairs = build_pairs(SceneCatalog.load(store, catalog), read_params(overrides).pairs, store)
    pairs.mark_latest(store)
    return pairs.digest


@step
def find_parent(model: str) -> str:
    """The Checkpoint's digest of the model to start from, as its alias stands now."""
    return resolve_model(model, ObjectStore()).digest


@step
def train_on_gpu_pool(pairs: str, overrides: Overrides, parent: str | None = None) -> str:
    """Has a worker of the ``gpu`` pool train, unless that is done; gives the Checkpoint's digest."""
    store, params = ObjectStore(), read_params(overrides)
    start = Checkpoint.load(store, parent) if parent else None
    digest = plan_training(PairSet.load(store, pairs), params.network, params.training, start).digest
    if Checkpoint.find(store, digest) is None:
        parameters = {"pairs": pairs, "overrides": overrides, "parent": parent}
        run = cast("FlowRun", run_deployment(TRAIN_DEPLOYMENT, parameters=parameters, poll_interval=POLL_S))
        if run.state is not None and run.state.is_crashed():
            raise TransientError("the training run crashed; it goes on from its last checkpoint", where=run.name)
        if run.state is None or not run.state.is_completed():
            told = (run.state and run.state.message) or "no reason given"
            raise SiameseError(f"training ended without a checkpoint: {told}", where=run.name, fix="see its logs")
    return Checkpoint.load(store, digest).digest


@step
def evaluate_checkpoint(checkpoint: str, pairs: str, overrides: Overrides) -> str:
    """Scores the checkpoint on the split that params name; gives the Evaluation's digest."""
    store, params = ObjectStore(), read_params(overrides)
    evaluation = evaluate(Checkpoint.load(store, checkpoint), PairSet.load(store, pairs), params.evaluation, store)
    evaluation.mark_latest(store)
    return evaluation.digest


@step
def register_checkpoint(checkpoint: str, evaluation: str, overrides: Overrides) -> str:
    """Registers the checkpoint in MLflow, once; gives the ModelVersion's digest."""
    store, params = ObjectStore(), read_params(overrides)
    version = register(Checkpoint.load(store, checkpoint), Evaluation.load(store, evaluation), params.promotion, store)
    version.mark_latest(store)
    return version.digest


@step
def pass_gate(version: str, pairs: str, overrides: Overrides) -> dict[str, object]:
    """Scores candidate and champion on the same split and decides; gives the ledger's entry."""
    store, params = ObjectStore(), read_params(overrides)
    candidate, split = ModelVersion.load(store, version), PairSet.load(store, pairs)
    return promote(candidate, split, params.promotion, params.evaluation, store).entry.model_dump(mode="json")


@flow(name="retrain", persist_result=True, result_serializer="json")
def retrain(
    source: str | None = None, overrides: Overrides | None = None, parent: str | None = None
) -> dict[str, object]:
    """Carries the scenes under a prefix to a gated model; what is already published is found, not done again.

    Args:
        source: Prefix of the scenes, ``s3://…``; by default ``ingest.source`` of params.yaml.
        overrides: What this run changes of params.yaml, e.g. ``{"training.minutes": 15}``.
        parent: Model to start from instead of ImageNet, e.g. ``models:/siamese-damage@champion``.

    Returns:
        The digests of all that was made, and the gate's decision.
    """
    changes = dict(overrides or {}) | ({"ingest.source": source} if source else {})
    catalog = ingest_scenes(changes)
    pairs = pair_scenes(catalog, changes)
    start = find_parent(parent) if parent else None
    checkpoint = train_on_gpu_pool(pairs, changes, start)
    evaluation = evaluate_checkpoint(checkpoint, pairs, changes)
    version = register_checkpoint(checkpoint, evaluation, changes)
    decision = pass_gate(version, pairs, changes)
    made = {"catalog": catalog, "pairs": pairs, "checkpoint": checkpoint, "evaluation": evaluation, "version": version}
    publish_retraining(made, decision)
    return {**made, "decision": decision}
