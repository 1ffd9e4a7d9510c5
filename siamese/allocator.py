"""Settings of memory and threads that networks want: glibc's defaults map and unmap every large activation.

They are read once, when a process starts; so they must be in its environment before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

_TUNED = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**36),
    "MALLOC_TOP_PAD_": str(2**28),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    # Threads that wait in a busy loop take the processor from those they wait for as soon as anything else runs.
    "OMP_WAIT_POLICY": "passive",
}
_MARK = "SIAMESE_ALLOCATOR_TUNED"


def allocator_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a process which runs networks should start with, beside those it has.

    What ``environment`` already says wins. Empty where the allocator is not glibc's or is replaced (``LD_PRELOAD``).
    """
    if not sys.platform.startswith("linux") or environment.get("LD_PRELOAD"):
        return {}
    return {name: value for name, value in _TUNED.items() if name not in environment}


def restart_with_allocator() -> None:
    """Starts this very process again, once, with the allocator's settings; returns where they are in force."""
    wanted = allocator_environment(os.environ)
    if not wanted or _MARK in os.environ:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | wanted | {_MARK: "1"})  # noqa: S606
