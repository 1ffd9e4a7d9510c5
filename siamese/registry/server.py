"""The MLflow server: reached or refused at once, its failures told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion as RemoteVersion
from mlflow.exceptions import MlflowException, RestException

from siamese.errors import SiameseError, TransientError

_HEALTH_TIMEOUT_S = 10
_UNKNOWN = "RESOURCE_DOES_NOT_EXIST"
_EXISTS = "RESOURCE_ALREADY_EXISTS"
_PASSING = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"}
"""What a busy database answers too."""


def connect() -> MlflowClient:
    """A client of the configured server.

    MLflow itself would retry an unreachable server for minutes and, with none configured, write to a local file; both
    would leave a person without a word, so the server's health is asked first.

    Raises:
        SiameseError: No server is configured.
        TransientError: It does not answer.
    """
    if not mlflow.is_tracking_uri_set():  # type: ignore[no-untyped-call]
        fix = "run `siamese up`, or set MLFLOW_TRACKING_URI"
        raise SiameseError("no server is configured", where="MLflow", fix=fix)
    uri = mlflow.get_tracking_uri()
    if uri.startswith("http"):
        try:
            requests.get(f"{uri.rstrip('/')}/health", timeout=_HEALTH_TIMEOUT_S).raise_for_status()
        except requests.RequestException as error:
            raise _down(uri) from error
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def told() -> Iterator[None]:
    """Turns what MLflow raises into an error that says what to do."""
    try:
        yield
    except RestException as error:
        kind = TransientError if error.error_code in _PASSING else SiameseError
        fix = "check its log; `siamese status` shows where"
        raise kind(f"refused: {error.message}", where=f"MLflow {mlflow.get_tracking_uri()}", fix=fix) from error
    except (MlflowException, requests.RequestException) as error:
        raise _down(mlflow.get_tracking_uri()) from error


def ensure_model(client: MlflowClient, name: str) -> None:
    """Makes the registered model unless it is there."""
    try:
        client.create_registered_model(name, description="Building damage from a pre and a post image.")
    except RestException as error:
        if error.error_code != _EXISTS:
            raise


def find_version(client: MlflowClient, name: str, version: int) -> RemoteVersion | None:
    """A version of a model; None when MLflow has none of this number."""
    try:
        return client.get_model_version(name, str(version))
    except RestException as error:
        if error.error_code == _UNKNOWN:
            return None
        raise


def delete_version(client: MlflowClient, name: str, version: int) -> None:
    """Deletes a version; somebody else may have done so already. MLflow never gives its number again."""
    try:
        client.delete_model_version(name, str(version))
    except RestException as error:
        if error.error_code != _UNKNOWN:
            raise


def run_exists(client: MlflowClient, run_id: str) -> bool:
    """Whether this server has a run: a checkpoint may have been trained beside another server."""
    try:
        client.get_run(run_id)
    except RestException as error:
        if error.error_code == _UNKNOWN:
            return False
        raise
    return True


def aliases(client: MlflowClient, name: str) -> dict[str, int]:
    """The aliases of a model, each with its version; empty when there is no such model."""
    try:
        found = client.get_registered_model(name).aliases
    except RestException as error:
        if error.error_code == _UNKNOWN:
            return {}
        raise
    return {alias: int(version) for alias, version in found.items()}


def set_alias(client: MlflowClient, name: str, alias: str, version: int) -> None:
    """Points an alias at a version.

    MLflow looks for the alias before it adds it, so of several that set a new one at once its database refuses all but
    the first; the second time it is there and is changed.
    """
    try:
        client.set_registered_model_alias(name, alias, str(version))
    except RestException:
        if alias not in aliases(client, name):
            raise
        client.set_registered_model_alias(name, alias, str(version))


def newest_version(client: MlflowClient, name: str) -> int | None:
    """The highest number among a model's versions; None when it has none."""
    found = client.search_model_versions(f"name = '{name}'", max_results=1, order_by=["version_number DESC"])
    return int(found[0].version) if found else None


def _down(uri: str) -> TransientError:
    fix = "`siamese status` tells why; `siamese up` starts the local stack"
    return TransientError("the server does not answer", where=f"MLflow {uri}", fix=fix)
