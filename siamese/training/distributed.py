"""Several processes that train one network: started here or by ``torchrun``, ended as one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist

from siamese.errors import SiameseError, TransientError
from siamese.progress import log_to_stderr
from siamese.training.stopping import StopRequest, stop_on_signal

_GRACE_S = 20.0
"""How long the others have to end by themselves when one process has failed."""
_VALIDATION = timedelta(days=7)
"""The others wait for the first process while it validates; one that dies is noticed at once all the same."""
_AGAIN = "run it again: it goes on from the state that was kept last"


class ProcessLostError(TransientError):
    """One of the processes of a training has ended."""


@dataclass(frozen=True)
class _Place:
    """Where a process stands among those that train together."""

    rank: int
    world: int
    meeting: Path


@dataclass
class _Member:
    place: _Place
    process: SpawnProcess
    reports: Connection
    report: SiameseError | None = field(default=None)

    def listen(self) -> None:
        """Takes the report of a process that has one."""
        try:
            if self.report is None and self.reports.poll():
                kind, what, where, fix = self.reports.recv()
                self.report = kind(what, where=where, fix=fix)
        except EOFError:
            return


def joined() -> bool:
    """Whether this process is one of several that train together."""
    return dist.is_initialized() or int(os.environ.get("WORLD_SIZE", "1")) > 1


def speaks() -> bool:
    """Whether this process is the one that tells results: alone, or the first of those that ``torchrun`` started."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def joined_group() -> Iterator[None]:
    """Joins the other processes, when ``torchrun`` or :func:`run_processes` has started some.

    Raises:
        ProcessLostError: Another one has ended.
    """
    if dist.is_initialized() or not joined():
        yield
        return
    with _group("env://", None):
        yield


def run_processes(count: int, work: Callable[[], object]) -> None:
    """Runs the same work in several processes that :func:`joined_group` joins, on this machine alone.

    Args:
        count: How many.
        work: Can be pickled; what it gives is dropped.

    Raises:
        SiameseError: As ``work`` raised it in one of them.
        ProcessLostError: One has ended without a word; the others are ended too.
    """
    with TemporaryDirectory(prefix="siamese-training-") as folder, stop_on_signal() as stop:
        members = [_started(_Place(rank, count, Path(folder) / "meeting"), work) for rank in range(count)]
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
    # A Ctrl-C in a terminal reaches the starting process alone, which passes it on, once.
    os.setpgrp()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // place.world))
    if place.rank == 0:
        log_to_stderr()
    try:
        with _group(f"file://{place.meeting}", place):
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
    """Waits until all have ended, or some time after one has failed; passes a request to stop on."""
    told, deadline = False, float("inf")
    while alive := [member for member in members if member.process.is_alive()]:
        wait([member.process.sentinel for member in alive], timeout=0.5)
        for member in members:
            member.listen()
        if stop.name is not None and not told:
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
    """Raises what went wrong first: an error that was told, else a process that ended without a word."""
    reports = [member.report for member in members if member.report is not None]
    causes = [report for report in reports if not isinstance(report, ProcessLostError)]
    if causes:
        raise causes[0]
    for member in members:
        code = member.process.exitcode
        if code and member.report is None:
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"failed with exit code {code}"
            what = f"process {member.place.rank + 1} of {member.place.world} {how}"
            raise ProcessLostError(what, where="training", fix=_AGAIN)
    if reports:
        raise reports[0]


@contextmanager
def _group(meeting: str, place: _Place | None) -> Iterator[None]:
    local = place.rank if place else int(os.environ.get("LOCAL_RANK", "0"))
    if torch.cuda.is_available():
        torch.cuda.set_device(local % torch.cuda.device_count())
    if place or os.environ.get("MASTER_ADDR") in {"127.0.0.1", "localhost"}:
        loopback = "lo" if sys.platform.startswith("linux") else "lo0"
        for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            os.environ.setdefault(name, loopback)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    rank, world = (place.rank, place.world) if place else (-1, -1)
    with _losses_told():
        dist.init_process_group(backend, init_method=meeting, rank=rank, world_size=world, timeout=_VALIDATION)
        try:
            yield
        finally:
            dist.destroy_process_group()


@contextmanager
def _losses_told() -> Iterator[None]:
    """Tells a lost connection to another process as what it is."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "onnection" not in str(error):
            raise
        raise ProcessLostError("another process of this training has ended", where="training", fix=_AGAIN) from error
