"""The verb ``register``: makes a checkpoint exactly one version of an MLflow model, however often it is called."""

from __future__ import annotations

from mlflow import MlflowClient

from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, Evaluation, ModelVersion, PairSet
from siamese.params import PromotionParams
from siamese.registry.aliases import project_aliases
from siamese.registry.claims import claim, claimed_version
from siamese.registry.server import connect, delete_version, ensure_model, find_version, run_exists, told
from siamese.registry.stage import MODEL_VERSION
from siamese.registry.weights import verify_weights
from siamese.store import ObjectStore, S3Uri
from siamese.store.stage import Input

TAG_CHECKPOINT = "siamese.checkpoint"
TAG_WEIGHTS = "siamese.weights_sha256"
TAG_REGISTRATION = "siamese.registration"


def register(
    checkpoint: Checkpoint, evaluation: Evaluation, params: PromotionParams, store: ObjectStore
) -> ModelVersion:
    """Registers a checkpoint in MLflow as a reference to its objects on the bucket, without uploading them again.

    Args:
        checkpoint: The checkpoint to register.
        evaluation: Its evaluation, whose scores become tags.
        params: Holds the name of the model.
        store: Holds the manifests.

    Returns:
        The version; always the same one for a checkpoint, even if two processes register it at once or one was killed.

    Raises:
        SiameseError: The evaluation belongs to another checkpoint, the weights differ from those published, or MLflow
            has lost a version that is recorded on the bucket.
        TransientError: MLflow does not answer.
    """
    if evaluation.further:
        what = f"is of an ensemble of {1 + len(evaluation.further)} checkpoints"
        raise SiameseError(what, where=f"evaluation {evaluation.digest}", fix=f"evaluate {checkpoint.digest} alone")
    if not evaluation.is_of(checkpoint):
        fix = f"evaluate {checkpoint.digest} first"
        raise SiameseError(
            f"is of another checkpoint, {evaluation.checkpoint}", where=f"evaluation {evaluation.digest}", fix=fix
        )
    inputs: dict[str, Input] = {"checkpoint": checkpoint, "evaluation": evaluation, "model": params.model}
    origin = MODEL_VERSION.plan(inputs=inputs, params={})
    found = MODEL_VERSION.find(store, origin)
    verify_weights(checkpoint, checkpoint.weights.sha256, store)
    client = connect()
    tags = _tags(checkpoint, evaluation, origin.digest, store)
    with told():
        ensure_model(client, params.model)
        version = _one_version(client, params.model, checkpoint, tags, store)
        if found is None:
            for name, value in tags.items():
                client.set_model_version_tag(params.model, str(version), name, value)
    registered = found or ModelVersion(
        origin=origin,
        name=params.model,
        version=version,
        run_id=checkpoint.run_id,
        checkpoint=checkpoint.digest,
        evaluation=evaluation.digest,
        weights_sha256=checkpoint.weights.sha256,
    ).publish(store)
    project_aliases(store, params.model)
    return registered


def _one_version(
    client: MlflowClient, name: str, checkpoint: Checkpoint, tags: dict[str, str], store: ObjectStore
) -> int:
    """Returns the one version of a checkpoint, creating it if needed.

    MLflow cannot create a version only if none exists, so two concurrent callers may each create one. Which of them
    counts is decided by a claim on the bucket, written once (``If-None-Match``) and only *after* the version exists.
    Hence a claim never names a version that does not exist; a process killed before its claim leaves a version that
    the next caller finds by its tag and claims; and once there is a claim, no other version of the checkpoint can ever
    win, so every caller may delete the others. MLflow never reuses deleted numbers, so a late delete is harmless.
    """
    version = claimed_version(name, checkpoint.digest, store)
    if version is None:
        made = _versions(client, name, checkpoint.digest)
        mine = min(made) if made else _make(client, name, checkpoint, tags, store)
        version = claim(name, checkpoint.digest, mine, store)
    for other in _versions(client, name, checkpoint.digest) - {version}:
        delete_version(client, name, other)
    if find_version(client, name, version) is None:
        fix = "restore MLflow's database, or use the server that it was registered with"
        what = f"MLflow has lost version {version}, which is checkpoint {checkpoint.digest}"
        raise SiameseError(what, where=name, fix=fix)
    return version


def _versions(client: MlflowClient, name: str, checkpoint: str) -> set[int]:
    found = client.search_model_versions(f"name = '{name}' AND tags.`{TAG_CHECKPOINT}` = '{checkpoint}'")
    return {int(version.version) for version in found}


def _make(client: MlflowClient, name: str, checkpoint: Checkpoint, tags: dict[str, str], store: ObjectStore) -> int:
    run_id = checkpoint.run_id if checkpoint.run_id and run_exists(client, checkpoint.run_id) else None
    source = checkpoint.home(store)
    return int(client.create_model_version(name, str(source), run_id=run_id, tags=tags, await_creation_for=0).version)


def _tags(checkpoint: Checkpoint, evaluation: Evaluation, registration: str, store: ObjectStore) -> dict[str, str]:
    pairs = PairSet.load(store, checkpoint.pairs)
    return {
        TAG_CHECKPOINT: checkpoint.digest,
        TAG_WEIGHTS: checkpoint.weights.sha256,
        TAG_REGISTRATION: registration,
        "siamese.weights": S3Uri.parse(checkpoint.weights.uri).name,
        "siamese.pairs": checkpoint.pairs,
        "siamese.catalog": pairs.origin.sources["catalog"],
        "siamese.evaluation": evaluation.digest,
        "siamese.split": evaluation.split,
        "siamese.revision": checkpoint.revision,
    } | {name: f"{value:.6f}" for name, value in evaluation.scores.model_dump().items()}
