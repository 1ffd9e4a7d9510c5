"""Starts the stack's processes detached, finds them by a marker in their environment, and ends them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

HOME_MARK = "SIAMESE_STACK_HOME"
SERVICE_MARK = "SIAMESE_STACK_SERVICE"
LOG_LIMIT_BYTES = 10 * 2**20
_CLOCK_TOLERANCE_S = 2.0
_EXEC_PATIENCE_S = 1.0


class Identity(BaseModel):
    """Identifies a process uniquely; a pid alone may later be reused by an unrelated process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    created: float

    def find(self) -> psutil.Process | None:
        """Returns the process, or None if it no longer runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < _CLOCK_TOLERANCE_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


@dataclass(frozen=True)
class Member:
    """A running process of the stack: a service, one of its children, or a flow run of a worker."""

    process: psutil.Process
    service: str


def start(
    service: str, command: Sequence[str], *, home: Path, folder: Path, environment: Mapping[str, str], log: Path
) -> Identity:
    """Starts a process in its own session, so that it outlives the terminal and the caller.

    Args:
        service: Name of the service, stored in the process's environment and inherited by its children.
        command: Program and arguments.
        home: The stack's folder, stored in the same way.
        folder: Working directory.
        environment: The complete environment, without the markers.
        log: File that receives its output; rotated first if it has grown large.
    """
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
    marks = {HOME_MARK: str(home), SERVICE_MARK: service}
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603
            command,
            cwd=folder,
            env={**environment, **marks},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    started = psutil.Process(process.pid)
    identity = Identity(pid=process.pid, created=started.create_time())
    deadline = time.monotonic() + _EXEC_PATIENCE_S
    with contextlib.suppress(psutil.Error):
        while _mark(started) is None and time.monotonic() < deadline:
            time.sleep(0.002)  # the kernel exposes a new program's environment a moment after it starts
    return identity


def members(home: Path) -> list[Member]:
    """Returns every running process that carries this stack's marker, except the caller and its ancestors."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            mark = None if pid in own else _mark(process)
            if mark and mark[0] == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(Member(process, mark[1]))
    return found


def _mark(process: psutil.Process) -> tuple[str, str] | None:
    marks = process.environ()
    return (marks[HOME_MARK], marks.get(SERVICE_MARK, "")) if HOME_MARK in marks else None


def session(process: psutil.Process) -> int | None:
    """Returns the session id of a process; None when it has ended."""
    try:
        return os.getsid(process.pid)
    except OSError:
        return None


def listens(identity: Identity, port: int) -> bool:
    """Returns whether it is this process or one of its children that listens on a port."""
    process = identity.find()
    if process is None:
        return False
    with contextlib.suppress(psutil.Error):
        for one in (process, *process.children(recursive=True)):
            for connection in one.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                    return True
    return False


def end(processes: Iterable[psutil.Process], *, grace_s: float) -> None:
    """Asks processes to end, and kills those that still run after ``grace_s`` seconds.

    psutil compares each process's creation time first, so a pid reused by an unrelated process is never signalled.
    """
    alive = list(processes)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(alive, timeout=grace_s)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=grace_s)


def memory_bytes(process: psutil.Process) -> int:
    """Returns the bytes of memory that would be freed if this process ended; 0 when it has ended."""
    try:
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return 0


def last_lines(log: Path, count: int = 5) -> list[str]:
    """Returns the last non-blank lines of a log."""
    if not log.is_file():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        lines = file.read().decode(errors="replace").splitlines()
    return [line.rstrip() for line in lines if line.strip()][-count:]
