"""A real HTTP server before a real one: it forwards what a test's rule lets pass, and answers the rest itself."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Request:
    """What a client sent; a rule may change it before it is forwarded."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What the proxy answers by itself."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Rule = Callable[[Request], Answer | None]
_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


@contextmanager
def reverse_proxy(target: str, rule: Rule) -> Iterator[str]:
    """Runs a proxy on a free port of this machine; gives its address.

    Args:
        target: Address of the server behind it, without a path.
        rule: Gives an answer, or None to forward the request.
    """
    backend = urlsplit(target).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, self.path, dict(self.headers.items()), body)
            answer = rule(request) or _forward(backend, request)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if request.method == "HEAD":
                self.send_header("Content-Length", answer.headers.get("X-Backend-Length", "0"))
                self.end_headers()
                return
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _forward(backend: str, request: Request) -> Answer:
    # The Host stays what the client signed.
    connection = http.client.HTTPConnection(backend, timeout=60)
    try:
        sent = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        connection.request(
            request.method, request.path, request.body, sent | {"Content-Length": str(len(request.body))}
        )
        answer = connection.getresponse()
        body = answer.read()
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
        length = {"X-Backend-Length": answer.getheader("Content-Length") or "0"} if request.method == "HEAD" else {}
        return Answer(answer.status, body, headers | length)
    finally:
        connection.close()
