"""Runs the Prefect or MLflow server behind a gate that checks Host header and login.

Neither server protects itself: Prefect accepts any Host header, so a web page whose name resolves to 127.0.0.1 could
reach it through a browser, and MLflow requires no login. Secrets come from the environment, never from arguments.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import hmac
import os
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import uvicorn

from siamese.stack.ports import LOOPBACK

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

HOSTS = frozenset({LOOPBACK, "localhost"})
HEALTH = "/health"
STORE_VARIABLE, ARTIFACTS_VARIABLE = "SIAMESE_MLFLOW_STORE", "SIAMESE_MLFLOW_ARTIFACTS"
_POLICY_VIOLATION = 1008
_LEASE, _MOST_LEASES = datetime.timedelta(minutes=5), 10_000


class Gate:
    """ASGI middleware that passes on only requests addressed to this machine's own names and carrying the login."""

    def __init__(self, app: App, *, login: str | None = None, hosts: Iterable[str] = HOSTS) -> None:
        """Puts the gate in front of an app.

        Args:
            app: App that answers the requests that pass.
            login: ``user:password`` that every request except ``/health`` must carry, as HTTP Basic; None when the app
                checks the login itself.
            hosts: Host names that requests may be addressed to.
        """
        self._app = app
        self._token = base64.b64encode(login.encode()) if login is not None else None
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Passes a request on or refuses it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if _host(headers.get(b"host", b"")) not in self._hosts:
            await _refuse(scope, send, 400, b"this server does not answer to that Host header\n")
        elif not self._knows(scope["path"], headers.get(b"authorization", b"")):
            await _refuse(scope, send, 401, b"log in; `siamese status` shows where the password is kept\n")
        else:
            await self._app(scope, receive, send)

    def _knows(self, path: str, authorization: bytes) -> bool:
        if self._token is None or path == HEALTH:
            return True
        scheme, _, token = authorization.partition(b" ")
        return scheme.lower() == b"basic" and hmac.compare_digest(token.strip(), self._token)


def _host(header: bytes) -> str:
    """Returns the name in a Host header, without the port."""
    return header.decode("latin-1").partition(":")[0].lower()


async def _refuse(scope: Message, send: Send, status: int, text: bytes) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="siamese", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def run_prefect(port: int) -> None:
    """Runs the Prefect server as `prefect server start` does; it checks its auth string itself."""
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    asyncio.run(_extend_leases())
    api = get_current_settings().server.api
    uvicorn.run(
        Gate(create_app(final=True)),
        host=LOOPBACK,
        port=port,
        timeout_keep_alive=api.keepalive_timeout,
        ws_ping_interval=api.websocket_ping_interval,
        ws_ping_timeout=api.websocket_ping_timeout,
        log_level="warning",
    )


async def _extend_leases() -> None:
    """Renews the leases of concurrency slots at startup, as runs could not renew them while the server was down.

    Otherwise Prefect would end a run whose lease has expired although it is alive.
    """
    from prefect.server.concurrency.lease_storage import get_concurrency_lease_storage

    leases = get_concurrency_lease_storage()
    active = await leases.read_active_lease_ids(limit=_MOST_LEASES)
    for lease in [*active, *await leases.read_expired_lease_ids(limit=_MOST_LEASES)]:
        await leases.renew_lease(lease, _LEASE)


def run_mlflow(port: int) -> None:
    """Runs the MLflow server as `mlflow server --no-serve-artifacts` does, with a login."""
    from mlflow.server.constants import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR
    from mlflow.server.handlers import initialize_backend_stores

    store, artifacts = os.environ[STORE_VARIABLE], os.environ[ARTIFACTS_VARIABLE]
    os.environ.update({BACKEND_STORE_URI_ENV_VAR: store, ARTIFACT_ROOT_ENV_VAR: artifacts})
    initialize_backend_stores(store, store, artifacts)
    from mlflow.server.fastapi_app import app

    login = f"{os.environ['MLFLOW_TRACKING_USERNAME']}:{os.environ['MLFLOW_TRACKING_PASSWORD']}"
    uvicorn.run(Gate(app, login=login), host=LOOPBACK, port=port, log_level="warning")


def serve(server: str, port: int) -> None:
    """Runs the Prefect or MLflow server until it is stopped."""
    {"prefect": run_prefect, "mlflow": run_mlflow}[server](port)
