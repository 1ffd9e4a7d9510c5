"""The stack's watchdog process, which reschedules lost flow runs."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx

from siamese.stack.health import TIMEOUT_S
from siamese.stack.prefect_api import prefect_api
from siamese.stack.runs import lost_runs, take_up

EVERY_S = 10.0
BEAT = "beat"
STALE_S = 300.0


def watch(pools: tuple[str, ...], beat: Path) -> None:
    """Looks for lost runs forever, and touches a file each time the Prefect server answers."""
    while True:
        try:
            with prefect_api(os.environ, TIMEOUT_S * 4) as client:
                for run in lost_runs(client, pools):
                    _say(f"{run['name']} ({run['id']}) is {take_up(client, run)}: it had no process")
                beat.touch()
        except httpx.HTTPError as error:
            _say(f"Prefect does not answer, tried again in {EVERY_S:.0f} s: {error!r}")
        time.sleep(EVERY_S)


def watchdog_fault(beat: Path, created: float) -> str | None:
    """Describes what is wrong with the watchdog; None when it has reached the Prefect server recently.

    Args:
        beat: The file that the watchdog touches.
        created: Creation time of its process, in seconds since 1970.
    """
    last = beat.stat().st_mtime if beat.is_file() else 0.0
    if last < created:
        return "has not reached the Prefect server since it was started"
    return None if time.time() - last < STALE_S else f"has not reached the Prefect server for {STALE_S:.0f} s"


def _say(what: str) -> None:
    sys.stdout.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {what}\n")
    sys.stdout.flush()
