"""One way to show progress: a bar in a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LOGGER = logging.getLogger("siamese")
LOGGER.setLevel(logging.INFO)
PLAIN_INTERVAL_S = 10.0


class Advance(Protocol):
    """Told after each piece of work."""

    def __call__(self, amount: float = 1, /, *, note: str = "") -> None:
        """Counts ``amount`` more as done."""


@contextmanager
def progress(label: str, total: float | None = None) -> Iterator[Advance]:
    """Shows how far a piece of long work is: on stderr in a terminal, in the log ``siamese`` elsewhere.

    Args:
        label: What is being done, e.g. ``"ingest scenes"``.
        total: How much there is to do, in whatever unit ``advance`` counts; None when unknown.

    Yields:
        A function to call with the amount done since the last call, and a short note.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        with _BARS.shown(console) as bars:
            task = bars.add_task(label, total=total, note="")

            def advance(amount: float = 1, /, *, note: str = "") -> None:
                bars.update(task, advance=amount, note=note)

            try:
                yield advance
            finally:
                _BARS.end(task)
        return
    done, last_line = 0.0, time.monotonic()

    def line(note: str) -> None:
        LOGGER.info(f"{label}: {_count(done, total)}" + (f", {note}" if note else ""))

    def advance_plain(amount: float = 1, /, *, note: str = "") -> None:
        nonlocal done, last_line
        done += amount
        if time.monotonic() - last_line >= PLAIN_INTERVAL_S:
            last_line = time.monotonic()
            line(note)

    yield advance_plain
    line("")


def _count(done: float, total: float | None) -> str:
    return f"{done:,.0f} done" if total is None else f"{done:,.0f} of {total:,.0f}"


class _Bars:
    """The bars of all work that goes on at once, in one display: two displays would overwrite each other."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._bars: Progress | None = None
        self._users = 0

    @contextmanager
    def shown(self, console: Console) -> Iterator[Progress]:
        """Shows the display for as long as anybody uses it."""
        with self._lock:
            if self._bars is None:
                columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
                self._bars = Progress(*columns, TextColumn("{task.fields[note]}"), console=console)
                self._bars.start()
            self._users += 1
            bars = self._bars
        try:
            yield bars
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    bars.stop()
                    self._bars = None

    def end(self, task: TaskID) -> None:
        """Turns a bar into a line above the bars of work that goes on; the last one stays as it is."""
        with self._lock:
            if self._bars is not None and self._users > 1:
                ended = next(one for one in self._bars.tasks if one.id == task)
                self._bars.remove_task(task)
                line = f"{ended.description}: {_count(ended.completed, ended.total)}"
                self._bars.console.print(line, markup=False, highlight=False)


_BARS = _Bars()


class _Stderr(logging.Handler):
    """Writes to whatever ``sys.stderr`` is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one plain line."""
        print(self.format(record), file=sys.stderr, flush=True)


def log_to_stderr() -> None:
    """Lets the log ``siamese`` be read on stderr, one plain line each; for commands."""
    if not any(isinstance(handler, _Stderr) for handler in LOGGER.handlers):
        LOGGER.addHandler(_Stderr())
