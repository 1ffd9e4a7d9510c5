"""Prefect's API, asked as its own client asks: while SQLite is locked the server answers 503, and one asks again.

That client reads its settings when it is imported, which in a process that starts a stack is before there are any.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import httpx

_WAITS_S = (0.1, 0.3, 1.0, 3.0, 9.0)


def prefect_api(environment: Mapping[str, str], timeout_s: float) -> httpx.Client:
    """A client of the Prefect server that an environment names; to be closed.

    Args:
        environment: With ``PREFECT_API_URL``, and ``PREFECT_API_AUTH_STRING`` where the server asks for it.
        timeout_s: Patience with each answer.
    """
    # Straight to it, whatever proxies the environment names.
    return httpx.Client(
        base_url=environment["PREFECT_API_URL"],
        auth=login(environment),
        timeout=timeout_s,
        transport=_Patient(trust_env=False),
        trust_env=False,
    )


def login(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """User and password of the Prefect server, None where it asks for none."""
    user, _, password = environment.get("PREFECT_API_AUTH_STRING", "").partition(":")
    return (user, password) if password else None


class _Patient(httpx.HTTPTransport):
    """Asks again while the answer is 503, for some seconds."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for wait_s in _WAITS_S:
            response = super().handle_request(request)
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return response
            response.close()
            time.sleep(wait_s)
        return super().handle_request(request)
