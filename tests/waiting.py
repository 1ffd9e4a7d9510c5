"""Waiting for what another process or thread does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")


def until(look: Callable[[], T], what: str, *, every_s: float = 0.05, at_most_s: float = 120) -> T:
    """Calls ``look`` until it returns something true, and returns that; the test fails when it never does.

    Args:
        look: May fail the test itself when waiting has become pointless.
        what: What is waited for, for the failure's message.
        every_s: Seconds between two calls.
        at_most_s: Seconds after which the test fails. No test asserts how long something takes: this only ends a hang.
    """
    end = time.monotonic() + at_most_s
    while not (found := look()):
        if time.monotonic() > end:
            pytest.fail(f"waited {at_most_s:.0f} s in vain for {what}")
        time.sleep(every_s)
    return found
