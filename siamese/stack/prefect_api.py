"""A small client for Prefect's API that, like Prefect's own, retries on 503, sent while SQLite is locked.

Prefect's own client reads its settings on import, which in a process that starts a stack is before any exist.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import httpx

_WAITS_S = (0.1, 0.3, 1.0, 3.0, 9.0)


def prefect_api(environment: Mapping[str, str], timeout_s: float) -> httpx.Client:
    """Returns a client for the Prefect server that an environment points to; the caller closes it.

    Args:
        environment: Holds ``PREFECT_API_URL``, and ``PREFECT_API_AUTH_STRING`` if the server requires it.
        timeout_s: Timeout of each request, in seconds.
    """
    # Connect directly, whatever proxies the environment names.
    return httpx.Client(
        base_url=environment["PREFECT_API_URL"],
        auth=login(environment),
        timeout=timeout_s,
        transport=_Patient(trust_env=False),
        trust_env=False,
    )


def login(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Returns user and password of the Prefect server; None if it requires none."""
    user, _, password = environment.get("PREFECT_API_AUTH_STRING", "").partition(":")
    return (user, password) if password else None


class _Patient(httpx.HTTPTransport):
    """Transport that retries for a few seconds while the answer is 503."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for wait_s in _WAITS_S:
            response = super().handle_request(request)
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return response
            response.close()
            time.sleep(wait_s)
        return super().handle_request(request)
