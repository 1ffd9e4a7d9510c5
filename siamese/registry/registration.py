"""The verb ``register``: makes a checkpoint exactly one version of an MLflow model, however often it is called."""

from __future__ import annotations

from collections.abc import Mapping

from mlflow import MlflowClient

from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, Evaluation, ModelVersion, PairSet, SimilarityModel
from siamese.params import PromotionParams
from siamese.registry.aliases import project_aliases
from siamese.registry.claims import claim, claimed_version
from siamese.registry.server import connect, delete_version, ensure_model, find_version, run_exists, told
from siamese.registry.stage import MODEL_VERSION
from siamese.registry.weights import verify_weights
from siamese.store import Manifest, ObjectStore, S3Uri
from siamese.store.stage import Input

TAG_CHECKPOINT = "siamese.checkpoint"
TAG_WEIGHTS = "siamese.weights_sha256"
TAG_REGISTRATION = "siamese.registration"
Trained = Checkpoint | SimilarityModel
_DESCRIPTIONS: Mapping[type[Manifest], str] = {
    Checkpoint: "Building damage from a pre and a post image.",
    SimilarityModel: "Vectors whose distance tells whether two items are the same.",
}


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
    tags = _tags(checkpoint, evaluation, store)
    return register_version(checkpoint, evaluation, params.model, tags, store)


def register_version(
    trained: Trained, evaluation: Manifest, name: str, tags: Mapping[str, str], store: ObjectStore
) -> ModelVersion:
    """Makes a trained network exactly one version of a model, whatever kind of network it is.

    Args:
        trained: The network.
        evaluation: Its evaluation.
        name: Name of the model.
        tags: Tags of the version in MLflow besides those that identify it.
        store: Holds the manifests.

    Raises:
        SiameseError: The weights differ from those published, or MLflow has lost a recorded version.
        TransientError: MLflow does not answer.
    """
    inputs: dict[str, Input] = {"checkpoint": trained, "evaluation": evaluation, "model": name}
    origin = MODEL_VERSION.plan(inputs=inputs, params={})
    found = MODEL_VERSION.find(store, origin)
    if isinstance(trained, Checkpoint):
        verify_weights(trained, trained.weights.sha256, store)
    else:
        verify_weights(trained, trained.weights.sha256, store)
    client = connect()
    known = {
        TAG_CHECKPOINT: trained.digest,
        TAG_WEIGHTS: trained.weights.sha256,
        TAG_REGISTRATION: origin.digest,
        "siamese.weights": S3Uri.parse(trained.weights.uri).name,
        "siamese.evaluation": evaluation.digest,
        "siamese.revision": trained.revision,
        **tags,
    }
    with told():
        ensure_model(client, name, _DESCRIPTIONS[type(trained)])
        version = _one_version(client, name, trained, known, store)
        if found is None:
            for tag, value in known.items():
                client.set_model_version_tag(name, str(version), tag, value)
    registered = found or ModelVersion(
        origin=origin,
        name=name,
        version=version,
        run_id=trained.run_id,
        checkpoint=trained.digest,
        evaluation=evaluation.digest,
        weights_sha256=trained.weights.sha256,
    ).publish(store)
    project_aliases(store, name)
    return registered


def _one_version(client: MlflowClient, name: str, checkpoint: Trained, tags: dict[str, str], store: ObjectStore) -> int:
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


def _make(client: MlflowClient, name: str, checkpoint: Trained, tags: dict[str, str], store: ObjectStore) -> int:
    run_id = checkpoint.run_id if checkpoint.run_id and run_exists(client, checkpoint.run_id) else None
    source = checkpoint.home(store)
    return int(client.create_model_version(name, str(source), run_id=run_id, tags=tags, await_creation_for=0).version)


def _tags(checkpoint: Checkpoint, evaluation: Evaluation, store: ObjectStore) -> dict[str, str]:
    pairs = PairSet.load(store, checkpoint.pairs)
    return {
        "siamese.pairs": checkpoint.pairs,
        "siamese.catalog": pairs.origin.sources["catalog"],
        "siamese.split": evaluation.split,
    } | {name: f"{value:.6f}" for name, value in evaluation.scores.model_dump().items()}
