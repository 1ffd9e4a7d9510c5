"""Limits how long a benchmark takes: shows progress, ends in time, and names what was left out."""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

WITHIN = 0.9
"""Share of the time for the pieces; the rest is for recording them, and for stopping processes."""
_NAMED = 20


class Budget:
    """The time of one run of a benchmark, spent piece by piece."""

    def __init__(
        self, benchmark: str, minutes: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Starts the clock.

        Args:
            benchmark: Its name, for progress and for the record.
            minutes: Time limit; None for no limit.
            clock: Returns seconds; only differences are meaningful.
        """
        self.benchmark, self.minutes, self.left_out = benchmark, minutes, list[str]()
        self._clock, self._began = clock, clock()

    @property
    def left_s(self) -> float:
        """Seconds left; infinite without a limit."""
        if self.minutes is None:
            return math.inf
        return 60 * self.minutes - (self._clock() - self._began)

    def show(self, piece: str) -> None:
        """Writes on stderr what is being done."""
        print(f"{self._clock() - self._began:6.0f} s  {self.benchmark}: {piece}", file=sys.stderr, flush=True)

    def attempt(self, piece: str, work: Callable[[], T], *, within: float = WITHIN) -> T | None:
        """Runs a piece of the work, as far as time allows.

        Args:
            piece: Its name.
            work: Does it. It is interrupted when time is up, so it must leave nothing half-changed that is used later.
            within: Share of the total time after which it is interrupted, to leave some for what follows.

        Returns:
            What the work returned; None if it was skipped or interrupted, in which case ``left_out`` names it.
        """
        left_s = self.left_s if self.minutes is None else self.left_s - 60 * self.minutes * (1 - within)
        if left_s <= 0:
            self.left_out.append(piece)
            return None
        self.show(piece)
        try:
            with _alarm(left_s):
                return work()
        except _OutOfTime:
            self.left_out.append(piece)
            return None

    def record(self, found: Mapping[str, Any]) -> str:
        """Returns the benchmark's one JSON line, with floats rounded to four decimals."""
        about: dict[str, Any] = {"benchmark": self.benchmark}
        if self.minutes is not None:
            about["asked_minutes"] = self.minutes
        if self.left_out:
            more = len(self.left_out) - _NAMED
            about["left_out"] = self.left_out[:_NAMED] + ([f"{more} more"] if more > 0 else [])
        return json.dumps(rounded(about | dict(found)))


def add_minutes(parser: argparse.ArgumentParser) -> None:
    """Adds the option that limits a benchmark's time."""
    told = "end within so many minutes and name what was left out; by default it takes as long as it takes"
    parser.add_argument("--minutes", type=float, metavar="N", help=told)


def rounded(value: Any) -> Any:  # noqa: ANN401
    """Rounds every float to four decimals."""
    match value:
        case float():
            return round(value, 4)
        case dict():
            return {name: rounded(item) for name, item in value.items()}
        case list() | tuple():
            return [rounded(item) for item in value]
    return value


class _OutOfTime(BaseException):
    """Raised when time is up; no error handling may stop it."""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raises ``_OutOfTime`` in the main thread when the given seconds have passed."""
    if math.isinf(seconds):
        yield
        return

    def ring(*_: object) -> None:
        raise _OutOfTime

    handler = signal.signal(signal.SIGALRM, ring)
    outer_s, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, outer_s)
