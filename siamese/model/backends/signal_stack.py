"""Restores this thread's signal stack: OpenVINO's CPU plugin moves it and leaves it pointing at freed memory."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Stack(ctypes.Structure):
    """``stack_t`` of Linux."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Restores this thread's signal stack on exit.

    Every plugin sets its own stack, large enough for AMX, and frees it when it is destroyed. It restores the previous
    one only if no other plugin came between; with two that end in another order, the next signal that Python handles
    would end the process with SIGSEGV.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    libc, before = ctypes.CDLL(None), _Stack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        # Refused where the old stack would be too small for AMX; the plugin's then stays.
        libc.sigaltstack(ctypes.byref(before), None)
