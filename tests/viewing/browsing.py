"""A real browser on a page that a real server serves."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from siamese.viewing.serving import KeepLabels, Served, application

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
PATIENCE_MS = 60_000
"""A loaded machine is slow; no test measures seconds."""


@contextmanager
def serving(folder: Path, keep: KeepLabels | None = None) -> Iterator[str]:
    """Serves a page on a free port; yields its address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    server = uvicorn.Server(uvicorn.Config(application(Served(folder, keep)), log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


class Browser:
    """One chromium for all tests of a module."""

    def __init__(self, playwright: Any) -> None:  # noqa: ANN401 - Playwright is not installed everywhere
        self._browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        self.problems: list[str] = []
        self._contexts: list[Any] = []

    def open(self, address: str, hash: str = "", *, width: int = 1000, height: int = 640, **more: object) -> Any:  # noqa: A002, ANN401
        """Opens a page and waits until its map is drawn; what the page complains of is collected."""
        self._contexts.append(self._browser.new_context(viewport={"width": width, "height": height}, **more))
        page = self._contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda said: self.problems.append(said.text) if said.type == "error" else None)
        page.on("request", lambda asked: self._check(address, asked.url))
        page.goto(address + hash)
        page.wait_for_selector("html[data-idle=true]")
        return page

    def _check(self, address: str, asked: str) -> None:
        own = address.partition("#")[0].rsplit("/", 1)[0]
        if not asked.startswith((own, "blob:", "data:")):
            self.problems.append(f"asked for {asked}")

    @contextmanager
    def tidy(self) -> Iterator[None]:
        """Closes the pages that are opened within, as each is a process of its own."""
        before = len(self._contexts)
        yield
        while len(self._contexts) > before:
            self._contexts.pop().close()

    def close(self) -> None:
        """Ends the browser."""
        self._browser.close()


def needs_browser() -> pytest.MarkDecorator:
    """Skips tests where there is no chromium or no Playwright."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return pytest.mark.skip(reason="Playwright is not installed")
    return pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
