"""Starts each missing service as soon as its dependencies work, and waits until all work."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from siamese.errors import SiameseError
from siamese.progress import progress
from siamese.stack import ports, processes
from siamese.stack.environment import MANAGED
from siamese.stack.layout import Layout
from siamese.stack.record import Started
from siamese.stack.services import Service

PATIENCE_S = 240.0
_POLL_S = 0.15


@dataclass(frozen=True)
class Healthy:
    """A service that works."""

    name: str
    started: bool
    seconds: float


def settings_hash(service: Service) -> str:
    """Returns a hash of the settings by which this project starts a service."""
    managed = sorted(item for item in service.environment.items() if item[0].startswith(MANAGED))
    said = json.dumps([service.command, str(service.folder), managed])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def bring_up(
    services: Sequence[Service],
    running: dict[str, processes.Identity],
    layout: Layout,
    remember: Callable[[str, Started], None],
    prepare: Callable[[str], None],
) -> list[Healthy]:
    """Starts each service that is not running, and waits until all work.

    Args:
        services: In the order in which they may start.
        running: Services that are already running.
        layout: Locates the logs.
        remember: Called with each process as soon as it is started.
        prepare: Called with the name of each service once it works, before its dependents start.

    Raises:
        SiameseError: A service ended, or does not work in time; the message includes the last lines of its log.
    """
    for service in services:
        if service.name not in running:
            ports.require_free(service.name, service.ports, str(layout.record))
    began = time.monotonic()
    alive = dict(running)
    done: dict[str, Healthy] = {}
    with progress("services", total=len(services)) as advance:
        while len(done) < len(services):
            for service in services:
                if service.name in done or not done.keys() >= set(service.needs):
                    continue
                if service.name not in alive:
                    alive[service.name] = _start(service, layout)
                    remember(service.name, Started(identity=alive[service.name], settings=settings_hash(service)))
                fault = service.fault(alive[service.name])
                seconds = time.monotonic() - began
                if fault is None:
                    prepare(service.name)
                    done[service.name] = Healthy(service.name, service.name not in running, round(seconds, 2))
                    advance(1, note=f"{service.name} works after {seconds:.1f} s")
                elif alive[service.name].find() is None:
                    raise _failed(service, "ended", layout.log(service.name))
                elif seconds > PATIENCE_S:
                    raise _failed(service, f"does not work after {PATIENCE_S:.0f} s, {fault}", layout.log(service.name))
            time.sleep(_POLL_S)
    return list(done.values())


def _start(service: Service, layout: Layout) -> processes.Identity:
    return processes.start(
        service.name,
        service.command,
        home=layout.home,
        folder=service.folder,
        environment=service.environment,
        log=layout.log(service.name),
    )


def _failed(service: Service, what: str, log: Path) -> SiameseError:
    said = " | ".join(processes.last_lines(log, 3)) or "it said nothing"
    return SiameseError(f"{what}; last said: {said}", where=service.name, fix=f"read {log}, then `siamese up` again")
