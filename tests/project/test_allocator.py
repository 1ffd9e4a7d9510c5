"""Processes that make maps keep few arenas of memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc has arenas")

CODE = """
import ctypes, threading
from siamese.allocator import keep_few_arenas
{before}
libc, gate = ctypes.CDLL(None), threading.Barrier(9)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
def work():
    libc.malloc(1000), gate.wait(), gate.wait()
for _ in range(8):
    threading.Thread(target=work).start()
gate.wait()
libc.malloc_info(0, ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w")))
libc.fflush(None)
gate.wait()
"""


@pytest.mark.parametrize(
    ("before", "setting", "few"),
    [("keep_few_arenas()", None, True), ("", None, False), ("keep_few_arenas()", "8", False)],
)
def test_threads_share_two_arenas_unless_the_environment_says_otherwise(
    before: str, setting: str | None, few: bool
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment |= {"MALLOC_ARENA_MAX": setting} if setting else {}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(before=before)], env=environment, check=True, capture_output=True, text=True
    )
    arenas = done.stdout.count("<heap nr=")
    assert arenas <= 2 if few else arenas > 2
