"""Access to the MLflow server with the login configured for its client; each failure is reported in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion as RemoteVersion
from mlflow.environment_variables import MLFLOW_TRACKING_TOKEN
from mlflow.exceptions import MlflowException, RestException
from mlflow.utils.credentials import get_default_host_creds, read_mlflow_creds
from mlflow.utils.rest_utils import http_request

from siamese.errors import SiameseError, TransientError
from siamese.servers import Answer, Server, mlflow_server, without_login

_TIMEOUT_S = 10
_QUESTION = "/api/2.0/mlflow/registered-models/search"
"""Asks for the login, as the health page does not."""
_UNKNOWN = "RESOURCE_DOES_NOT_EXIST"
_EXISTS = "RESOURCE_ALREADY_EXISTS"
_PASSING = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"}
"""What a busy database answers too."""


def connect() -> MlflowClient:
    """Connects to the configured MLflow server.

    MLflow itself would silently retry an unreachable server for minutes and, with none configured, write to a local
    file. So one short request is sent first, in the same way as the client will send all others.

    Raises:
        SiameseError: No server is configured, it refuses the login, or what answers is not an MLflow server.
        TransientError: The server does not answer.
    """
    if not mlflow.is_tracking_uri_set():  # type: ignore[no-untyped-call]
        fix = "run `siamese up`, or set MLFLOW_TRACKING_URI"
        raise SiameseError("no server is configured", where="MLflow", fix=fix)
    uri = mlflow.get_tracking_uri()
    if uri.startswith("http"):
        _ask(uri)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def told() -> Iterator[None]:
    """Turns exceptions raised by MLflow into errors that state what to do."""
    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        raise explained(error) from error


def explained(error: Exception) -> SiameseError:
    """Translates an exception of MLflow's client into an error for people."""
    uri = mlflow.get_tracking_uri()
    if isinstance(error, RestException):
        status = int(error.get_http_status_code())  # type: ignore[no-untyped-call]
        answer = Answer(status, uri, "application/json", error.message)
        if answer.status in (401, 403):
            return _server(uri).fault(answer) or _refused(error, uri)
        return _refused(error, uri)
    answered = _ANSWERED.search(str(error))
    if answered:
        answer = Answer(int(answered["status"] or 200), uri, text=answered["body"])
        return _server(uri).fault(answer) or _refused(error, uri)
    return _away(error, uri)


_ANSWERED = re.compile(
    r"(?:failed with error code (?P<status>\d+)|not in a valid JSON format).*?Response body: '(?P<body>.*)'", re.DOTALL
)
"""How MLflow's client words an answer that is not its server's."""


def _ask(uri: str) -> None:
    try:
        answer = http_request(  # type: ignore[no-untyped-call]
            get_default_host_creds(uri),  # type: ignore[no-untyped-call]
            _QUESTION,
            "GET",
            max_retries=0,
            timeout=_TIMEOUT_S,
            raise_on_status=False,
            params={"max_results": 1},
        )
    except MlflowException as error:
        raise _away(error, uri) from error
    media_type = answer.headers.get("Content-Type", "")
    fault = _server(uri).fault(Answer(answer.status_code, answer.url, media_type, answer.text))
    if fault:
        raise fault


def _server(uri: str) -> Server:
    login = read_mlflow_creds()
    token = bool(MLFLOW_TRACKING_TOKEN.get())  # type: ignore[no-untyped-call]
    return mlflow_server(uri, user=bool(login.username), password=bool(login.password), token=token)


def _refused(error: Exception, uri: str) -> SiameseError:
    kind = TransientError if getattr(error, "error_code", "") in _PASSING else SiameseError
    fix = "check its log; `siamese status` shows where"
    message = getattr(error, "message", str(error))
    return kind(f"refused: {message}", where=f"MLflow {without_login(uri)}", fix=fix)


def _away(error: Exception, uri: str) -> SiameseError:
    cause = error.__context__ or error
    if isinstance(cause, requests.exceptions.SSLError):
        fix = "set MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate of whoever signed it"
        return SiameseError("no secure connection: its certificate is not trusted", where=_server(uri).where, fix=fix)
    if isinstance(cause, requests.exceptions.ProxyError):
        fix = "check HTTPS_PROXY and NO_PROXY"
        return TransientError("the proxy on the way does not answer", where=_server(uri).where, fix=fix)
    return _server(uri).away()


def ensure_model(client: MlflowClient, name: str, description: str) -> None:
    """Creates the registered model unless it exists."""
    try:
        client.create_registered_model(name, description=description)
    except RestException as error:
        if error.error_code != _EXISTS:
            raise


def find_version(client: MlflowClient, name: str, version: int) -> RemoteVersion | None:
    """Returns a version of a model; None when MLflow has no version with this number."""
    try:
        return client.get_model_version(name, str(version))
    except RestException as error:
        if error.error_code == _UNKNOWN:
            return None
        raise


def delete_version(client: MlflowClient, name: str, version: int) -> None:
    """Deletes a version unless that is already done; MLflow never reuses its number."""
    try:
        client.delete_model_version(name, str(version))
    except RestException as error:
        if error.error_code != _UNKNOWN:
            raise


def run_exists(client: MlflowClient, run_id: str) -> bool:
    """Returns whether this server has a run; a checkpoint may have been trained with another server."""
    try:
        client.get_run(run_id)
    except RestException as error:
        if error.error_code == _UNKNOWN:
            return False
        raise
    return True


def aliases(client: MlflowClient, name: str) -> dict[str, int]:
    """Returns the aliases of a model, each with its version; empty when there is no such model."""
    try:
        found = client.get_registered_model(name).aliases
    except RestException as error:
        if error.error_code == _UNKNOWN:
            return {}
        raise
    return {alias: int(version) for alias, version in found.items()}


def set_alias(client: MlflowClient, name: str, alias: str, version: int) -> None:
    """Points an alias at a version.

    MLflow looks for the alias before adding it, so when several processes set a new alias at once, its database refuses
    all but the first; on the second attempt the alias exists and is updated.
    """
    try:
        client.set_registered_model_alias(name, alias, str(version))
    except RestException:
        if alias not in aliases(client, name):
            raise
        client.set_registered_model_alias(name, alias, str(version))


def newest_version(client: MlflowClient, name: str) -> int | None:
    """Returns the highest version number of a model; None when it has no versions."""
    found = client.search_model_versions(f"name = '{name}'", max_results=1, order_by=["version_number DESC"])
    return int(found[0].version) if found else None
