"""Serves the page of one map on this machine alone."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from siamese.errors import SiameseError

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "worker-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load: its own files and nothing else."""
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "X-Siamese-Session": "session",
}
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".bin": "application/octet-stream",
    ".pmtiles": "application/octet-stream",
}
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_MOST_LABELS: Final = 64 * 2**20

KeepLabels = Callable[[bytes, str, str, int], dict[str, object]]
"""Keeps labels: GeoJSON, author, purpose (``label`` or ``assessment``), size of the sample; returns what to answer."""


@dataclass(frozen=True)
class Served:
    """What a server serves."""

    folder: Path
    """A page, as :func:`siamese.viewing.write_view` writes it."""
    keep_labels: KeepLabels | None = None
    """None: labels can be saved as a file only."""


def application(served: Served) -> ASGIApp:
    """Returns the server of a page: its files, with byte ranges, and a place for labels.

    A file is served only if it lies in the folder itself; no path is put together from what a browser asks for. Labels
    are taken only with the token that the page read before, so no other website can hand any in.
    """
    files = {path.name: path for path in served.folder.iterdir() if path.is_file() and path.suffix in _TYPES}
    token = secrets.token_urlsafe(24)

    async def file(request: Request) -> Response:
        name = request.path_params.get("name") or "index.html"
        path = files.get(name)
        if path is None:
            return PlainTextResponse("no such file\n", 404)
        return FileResponse(path, media_type=_TYPES[path.suffix])

    async def session(_: Request) -> Response:
        return JSONResponse({"token": token, "labels": served.keep_labels is not None})

    async def labels(request: Request) -> Response:
        if served.keep_labels is None or not secrets.compare_digest(request.headers.get("x-siamese", ""), token):
            return JSONResponse({"error": "not allowed"}, 403)
        if request.headers.get("content-type", "").partition(";")[0] != "application/geo+json":
            return JSONResponse({"error": "labels are GeoJSON"}, 415)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MOST_LABELS:
                return JSONResponse({"error": "too large for labels"}, 413)
        author, purpose = request.query_params.get("author", ""), request.query_params.get("purpose", "label")
        size = request.query_params.get("size", "")[:9]
        try:
            kept = await run_in_threadpool(
                served.keep_labels, body, author, purpose, int(size) if size.isdecimal() else 0
            )
        except SiameseError as error:
            return JSONResponse({"error": str(error)}, 422)
        return JSONResponse(kept)

    routes = [
        Route("/session", session, methods=["GET"]),
        Route("/labels", labels, methods=["POST"]),
        Route("/", file, methods=["GET", "HEAD"]),
        Route("/{name}", file, methods=["GET", "HEAD"]),
    ]
    return _Guarded(Starlette(routes=routes))


class _Guarded:
    """Refuses requests that came by another name than this machine's own, and adds headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = dict(scope["headers"])
        sent = _with_headers(send)
        if _name(asked.get(b"host", b"").decode("latin-1")) not in _LOOPBACK or not _own(asked):
            await JSONResponse({"error": "not allowed"}, 403)(scope, receive, sent)
            return
        await self._app(scope, receive, sent)


def _with_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *extra]
        await send(message)

    return sent


def _own(asked: dict[bytes, bytes]) -> bool:
    """Whether a request's origin, if it names one, is the server itself."""
    origin = asked.get(b"origin")
    return origin is None or origin.decode("latin-1") == "http://" + asked.get(b"host", b"").decode("latin-1")


def _name(host: str) -> str:
    return host.rsplit(":", 1)[0] if not host.endswith("]") else host


def serve(served: Served, port: int, ready: Callable[[str], None]) -> None:
    """Serves a page on this machine until it is interrupted.

    Args:
        served: The page.
        port: 0 takes a free one.
        ready: Called with the address once it can be opened.

    Raises:
        SiameseError: The port is taken.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise SiameseError("is taken", where=f"port {port}", fix="name another --port, or leave it out") from error
        listener.listen(128)
        ready(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        config = uvicorn.Config(application(served), log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])
