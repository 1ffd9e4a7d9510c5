"""Being asked to stop: the first SIGTERM or Ctrl-C lets the step end and the state be kept; a second one is final."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from siamese.errors import SiameseError
from siamese.training.reduce import largest


class StopRequest:
    """Which signal asked to stop, if any."""

    name: str | None = None


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turns the first SIGTERM or SIGINT into a request; outside the main thread signals stay as they are."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, _: FrameType | None) -> None:
        request.name = signal.Signals(number).name
        restore()

    for number in before:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        restore()


def asked_by(request: StopRequest) -> str | None:
    """The signal that asked this process, or another that trains with it, to stop."""
    number = largest(signal.Signals[request.name] if request.name else 0)
    return signal.Signals(number).name if number else None


def stopped(signal_name: str, steps: int) -> SiameseError:
    """What is said of a training that was asked to stop and has kept its state."""
    what = f"stopped by {signal_name} after step {steps}; its state is kept"
    return SiameseError(what, where="training", fix="run it again with the same params to go on")
