"""Where this thread handles signals: OpenVINO's processor plugin moves that, and leaves it pointing at freed memory."""

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
    """Puts this thread's stack for signals back to where it was.

    Every plugin sets a stack of its own, wide enough for AMX, and frees it at its end. It puts the former one back
    only if no other plugin came between; with two that end in another order, the next signal that Python handles
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
        # Refused where it would be too small for AMX: then the plugin's stays.
        libc.sigaltstack(ctypes.byref(before), None)
