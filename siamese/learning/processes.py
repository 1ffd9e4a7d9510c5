"""Runs several training processes on this machine: starts, watches and stops them together.

They find each other as processes started by ``torchrun`` do: through the same environment variables.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import torch
import torch.distributed as dist

from siamese.errors import SiameseError, TransientError
from siamese.learning.stopping import StopRequest, stop_on_signal
from siamese.progress import log_to_stderr

_GRACE_S = 20.0
"""How long the other processes may take to end by themselves after one has failed."""
_HERE = "127.0.0.1"
AGAIN = "run it again: it goes on from the state that was kept last"


class ProcessLostError(TransientError):
    """Raised when one of the processes of a run has ended unexpectedly."""


@dataclass(frozen=True)
class _Place:
    """A process's position among those that train together."""

    rank: int
    world: int
    port: int

    def environment(self) -> dict[str, str]:
        """Returns the variables that ``torchrun`` would set; the starting process hosts the rendezvous store."""
        numbers = {"RANK": self.rank, "LOCAL_RANK": self.rank, "GROUP_RANK": 0}
        numbers |= {"WORLD_SIZE": self.world, "LOCAL_WORLD_SIZE": self.world, "MASTER_PORT": self.port}
        agent = {"TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_ADDR": _HERE}
        return {name: str(number) for name, number in numbers.items()} | agent


@dataclass
class _Member:
    place: _Place
    process: SpawnProcess
    reports: Connection
    report: SiameseError | None = field(default=None)

    def listen(self) -> None:
        """Receives the report of this process, if it has sent one."""
        try:
            if self.report is None and self.reports.poll():
                kind, what, where, fix = self.reports.recv()
                self.report = kind(what, where=where, fix=fix)
        except EOFError:
            return


def joined() -> bool:
    """Returns whether this process is one of several that train together."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def speaks() -> bool:
    """Returns whether this process prints results: it is alone, or the first of those that ``torchrun`` started."""
    return os.environ.get("RANK", "0") == "0"


def run_processes(count: int, work: Callable[[], object]) -> None:
    """Runs the same work in several processes on this machine.

    Args:
        count: Number of processes.
        work: Must be picklable; its return value is discarded.

    Raises:
        SiameseError: ``work`` raised it in one of the processes.
        ProcessLostError: A process ended without a report; the others are stopped too.
    """
    meeting = dist.TCPStore(_HERE, 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    with stop_on_signal() as stop:
        members = [_started(_Place(rank, count, meeting.port), work) for rank in range(count)]
        try:
            _wait(members, stop)
        finally:
            for member in members:
                member.process.kill()
                member.process.join()
        _raise_failure(members)


def _started(place: _Place, work: Callable[[], object]) -> _Member:
    context = multiprocessing.get_context("spawn")
    reports, sender = context.Pipe(duplex=False)
    process = context.Process(target=_member_main, args=(place, work, sender), name=f"training {place.rank}")
    process.start()
    sender.close()
    return _Member(place, process, reports)


def _member_main(place: _Place, work: Callable[[], object], reports: Connection) -> None:
    # Ctrl-C in a terminal reaches only the starting process, which passes it on, once.
    os.setpgrp()
    os.environ.update(place.environment())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // place.world))
    if place.rank == 0:
        log_to_stderr()
    try:
        work()
    except SiameseError as error:
        reports.send((type(error), error.what, error.where, error.fix))
        sys.exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _wait(members: Sequence[_Member], stop: StopRequest) -> None:
    """Waits until all have ended, or until some time after one has failed; passes on a stop request."""
    told, deadline = False, float("inf")
    while alive := [member for member in members if member.process.is_alive()]:
        wait([member.process.sentinel for member in alive], timeout=0.5)
        for member in members:
            member.listen()
        if stop.signal and not told:
            told = True
            for member in alive:
                member.process.terminate()
        if deadline == float("inf") and any(member.process.exitcode for member in members):
            deadline = time.monotonic() + _GRACE_S
        if time.monotonic() > deadline:
            return
    for member in members:
        member.listen()


def _raise_failure(members: Sequence[_Member]) -> None:
    """Raises the first failure: a reported error, otherwise the error of a process that ended without a report."""
    reports = [member.report for member in members if member.report is not None]
    causes = [report for report in reports if not isinstance(report, ProcessLostError)]
    if causes:
        raise causes[0]
    for member in members:
        code = member.process.exitcode
        if code and member.report is None:
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"failed with exit code {code}"
            what = f"process {member.place.rank + 1} of {member.place.world} {how}"
            raise ProcessLostError(what, where="training", fix=AGAIN)
    if reports:
        raise reports[0]
