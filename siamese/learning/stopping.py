"""Stop requests: the first SIGTERM or Ctrl-C lets the step finish and the state be kept; a second one ends at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Holds the number of the signal that requested a stop, or 0."""

    signal: int = 0


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turns the first SIGTERM or SIGINT into a request; outside the main thread signal handling is unchanged."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, _: FrameType | None) -> None:
        request.signal = number
        restore()

    for number in before:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        restore()
