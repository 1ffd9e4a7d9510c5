"""Retry policy of tasks: they are retried after the errors listed here and no others."""

from __future__ import annotations

import sys

import botocore.exceptions
import httpx
import requests
from prefect import State

from siamese.errors import TransientError

TRANSIENT: tuple[type[BaseException], ...] = (
    TransientError,
    ConnectionError,
    TimeoutError,
    # Storage: the connection broke before or during an answer.
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.IncompleteReadError,
    # Prefect's API, and MLflow's.
    httpx.TransportError,
    requests.ConnectionError,
    requests.Timeout,
)
"""Errors that time may heal. An error of the program or of its input, e.g. a TypeError, is none of them."""

_TOO_MANY_REQUESTS = 429
_SERVER_FAILED = 500


def time_may_heal(error: BaseException) -> bool:
    """Returns whether a retry may succeed: a server is unreachable, overloaded, or failed internally."""
    match error:
        case _ if _from_mlflow(error):
            status = int(error.get_http_status_code())  # type: ignore[attr-defined]
        case httpx.HTTPStatusError():  # the base class of Prefect's own API errors
            status = error.response.status_code
        case botocore.exceptions.ClientError():
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        case _:
            return isinstance(error, TRANSIENT)
    return status == _TOO_MANY_REQUESTS or status >= _SERVER_FAILED


def _from_mlflow(error: BaseException) -> bool:
    """Whether MLflow raised it; only if MLflow was imported, which takes seconds, can it have."""
    loaded = sys.modules.get("mlflow.exceptions")
    return loaded is not None and isinstance(error, loaded.MlflowException)


def may_retry(_task: object, _run: object, state: State[object]) -> bool:
    """Prefect's retry condition for every task."""
    return isinstance(state.data, BaseException) and time_may_heal(state.data)
