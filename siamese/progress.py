"""One way to show progress: a bar in a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as bar:
            task = bar.add_task(label, total=total, note="")

            def advance(amount: float = 1, /, *, note: str = "") -> None:
                bar.update(task, advance=amount, note=note)

            yield advance
        return
    done, last_line = 0.0, time.monotonic()

    def line(note: str) -> None:
        count = f"{done:,.0f} done" if total is None else f"{done:,.0f} of {total:,.0f}"
        LOGGER.info(f"{label}: {count}" + (f", {note}" if note else ""))

    def advance_plain(amount: float = 1, /, *, note: str = "") -> None:
        nonlocal done, last_line
        done += amount
        if time.monotonic() - last_line >= PLAIN_INTERVAL_S:
            last_line = time.monotonic()
            line(note)

    yield advance_plain
    line("")


class _Stderr(logging.Handler):
    """Writes to whatever ``sys.stderr`` is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one plain line."""
        print(self.format(record), file=sys.stderr, flush=True)


def log_to_stderr() -> None:
    """Lets the log ``siamese`` be read on stderr, one plain line each; for commands."""
    if not any(isinstance(handler, _Stderr) for handler in LOGGER.handlers):
        LOGGER.addHandler(_Stderr())
