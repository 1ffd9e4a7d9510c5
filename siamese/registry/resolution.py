"""Resolves a model URI or version reference to its checkpoint and checks the weights."""

from __future__ import annotations

import re
from pathlib import Path

from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, ModelVersion
from siamese.registry.claims import claimed_version
from siamese.registry.ledger import read_ledger
from siamese.registry.weights import verify_weights
from siamese.store import ObjectStore

_MODEL_URI = re.compile(r"^models:/(?P<name>[^/@]+)(?:@(?P<alias>[\w-]+)|/(?P<version>\d+|latest))$")


def resolve_model(uri: str, store: ObjectStore) -> Checkpoint:
    """Finds the checkpoint of a model and checks its weights.

    Args:
        uri: ``models:/NAME@champion`` (from the ledger, so it works without MLflow), ``models:/NAME@ALIAS``,
            ``models:/NAME/3``, ``models:/NAME/latest``, ``latest`` (the most recently trained checkpoint), a
            checkpoint's digest or s3:// address, or a local file written by ``--out``.
        store: Holds the manifests.

    Raises:
        SiameseError: There is no such model, or its weights do not match their sha256.
        TransientError: MLflow is needed but does not answer.
    """
    if uri.startswith("models:/"):
        return _registered(uri, store)
    if uri == "latest" or uri.startswith("s3://") or re.fullmatch("[0-9a-f]{16}", uri) or Path(uri).is_file():
        checkpoint = Checkpoint.resolve(store, uri)
    else:
        fix = "give models:/NAME@champion, models:/NAME/3, latest, a digest, an s3:// address or a manifest file"
        raise SiameseError("no such model", where=repr(uri), fix=fix)
    return verify_weights(checkpoint, checkpoint.weights.sha256, store)


def resolve_version(reference: str, model: str, store: ObjectStore) -> ModelVersion:
    """Finds a registered version.

    Args:
        reference: Its number, ``models:/NAME/3``, ``models:/NAME@challenger``, ``latest`` (most recently registered),
            the manifest's digest or s3:// address, or a local file written by ``register --out``.
        model: Name of the model, used when the reference is a number.
        store: Holds the manifests.

    Raises:
        SiameseError: There is no such version.
    """
    if reference.isdigit() and len(reference) < 16:
        reference = f"models:/{model}/{reference}"
    if reference.startswith("models:/"):
        return remote_version(reference, store)
    return ModelVersion.resolve(store, reference)


def model_name(uri: str, checkpoint: Checkpoint, store: ObjectStore) -> str:
    """Returns how results name their model: name and version if registered, else the checkpoint's digest."""
    if uri.startswith("models:/"):
        name = uri_parts(uri)["name"]
        if version := claimed_version(name, checkpoint.digest, store):
            return f"{name} version {version}"
    return f"checkpoint {checkpoint.digest}"


def _registered(uri: str, store: ObjectStore) -> Checkpoint:
    match = uri_parts(uri)
    if match["alias"] == "champion":
        champion = read_ledger(store, match["name"]).champion
        if champion is None:
            fix = "run `siamese promote`, or name another model"
            raise SiameseError("there is no champion yet", where=uri, fix=fix)
        return verify_weights(Checkpoint.load(store, champion.checkpoint), champion.weights_sha256, store)
    version = remote_version(uri, store)
    return verify_weights(Checkpoint.load(store, version.checkpoint), version.weights_sha256, store)


def remote_version(uri: str, store: ObjectStore) -> ModelVersion:
    """Finds a version that MLflow knows by number, alias or as the latest.

    Raises:
        SiameseError: MLflow has no such version, or it is not what was registered.
        TransientError: MLflow does not answer.
    """
    from siamese.registry.registration import TAG_REGISTRATION, TAG_WEIGHTS
    from siamese.registry.server import aliases, connect, find_version, newest_version, told

    match = uri_parts(uri)
    name, alias, version = match["name"], match["alias"], match["version"]
    client = connect()
    with told():
        if alias:
            number = aliases(client, name).get(alias)
        else:
            number = newest_version(client, name) if version == "latest" else int(version)
        found = find_version(client, name, number) if number else None
    if found is None:
        raise SiameseError("MLflow has no such version", where=uri, fix="`siamese history` and MLflow's page list them")
    if TAG_REGISTRATION not in found.tags:
        raise SiameseError("was not registered by siamese", where=uri, fix="register its checkpoint")
    registered = ModelVersion.load(store, found.tags[TAG_REGISTRATION])
    if found.tags.get(TAG_WEIGHTS) != registered.weights_sha256:
        what = f"tag {TAG_WEIGHTS} is not what was registered; the model is refused"
        raise SiameseError(what, where=uri, fix="set the tag back, or register the checkpoint again")
    return registered


def uri_parts(uri: str) -> re.Match[str]:
    """Returns the groups ``name``, ``alias`` and ``version`` of a model's address.

    Raises:
        SiameseError: It is no such address.
    """
    match = _MODEL_URI.match(uri)
    if match is None:
        fix = "write models:/NAME@champion or models:/NAME/3"
        raise SiameseError("not a model's address", where=repr(uri), fix=fix)
    return match
