"""Brings the local stack up and down; both operations are idempotent."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from siamese.errors import SiameseError
from siamese.progress import progress
from siamese.settings import Settings, own_storage
from siamese.stack import ports, processes
from siamese.stack.certificates import write_security
from siamese.stack.credentials import Credentials, write_aws_files, write_login
from siamese.stack.deployments import deploy, fingerprint
from siamese.stack.disk import DiskSpace
from siamese.stack.dvc_remote import point_dvc, release_dvc
from siamese.stack.environment import client_environment, env_text, service_environment
from siamese.stack.layout import Layout, write_private
from siamese.stack.preparation import (
    CRASH_AUTOMATION,
    check_own_buckets,
    make_buckets,
    make_pools,
    remove_automation,
)
from siamese.stack.record import Record, Started, locked
from siamese.stack.services import (
    MLFLOW,
    POOLS,
    PREFECT,
    STORAGE,
    USUAL_PORTS,
    WATCHDOG,
    WORKER,
    Service,
    remove_storage_sockets,
    services,
)
from siamese.stack.starting import Healthy, bring_up

GRACE_S = 10.0
_ROUNDS = 20


@dataclass(frozen=True)
class Plan:
    """The desired stack for the caller's settings and environment."""

    settings: Settings
    layout: Layout
    own: tuple[str, ...]
    credentials: Credentials
    client: dict[str, str]
    whole: dict[str, str]
    services: tuple[Service, ...]


def absolute(settings: Settings | None) -> Settings:
    """Returns the settings with an absolute home folder, valid in any working directory."""
    settings = settings or Settings()
    return settings.model_copy(update={"home": settings.home.expanduser().resolve()})


def plan(settings: Settings, record: Record, outer: Mapping[str, str]) -> Plan:
    """Plans the whole stack from its record and the caller's environment; starts nothing."""
    layout = Layout(settings.home)
    own = own_storage(settings.home, outer)
    credentials = Credentials.kept_or_new(layout)
    client = client_environment(layout, record.ports, credentials)
    whole = service_environment(settings, outer, client, own_storage=bool(own))
    parts = services(settings, layout, record.ports, whole, record.root or Path.cwd(), own_storage=bool(own))
    return Plan(settings, layout, own, credentials, client, whole, parts)


def up(
    settings: Settings | None = None,
    *,
    root: Path | None = None,
    outer: Mapping[str, str] | None = None,
    deploying: bool | None = None,
) -> list[Healthy]:
    """Starts services that are not running and waits until all work; changes nothing when they already do.

    Args:
        settings: The stack's folder and bucket names.
        root: The project's folder, the current one by default; its deployments are created, and its DVC remote is
            pointed at this stack. Workers run in it if the stack was first brought up from it.
        outer: The caller's environment, ``os.environ`` by default.
        deploying: Whether to create the deployments of prefect.yaml; None creates them when they have changed.

    Returns:
        Every service, in the order in which they were found to work.

    Raises:
        SiameseError: A port is taken, a service does not work (the message includes its log), or a new stack would
            lie on a full disk. An old one on a full disk starts: what it holds can be read and deleted.
    """
    settings, root = absolute(settings), (root or Path.cwd()).resolve()
    outer = os.environ if outer is None else outer
    layout = Layout(settings.home)
    if not layout.data(STORAGE).exists() and not own_storage(settings.home, outer):
        DiskSpace.of(settings.home).check()
    layout.make(STORAGE, PREFECT, MLFLOW, WATCHDOG)
    with locked(layout):
        record = Record.read(layout)
        chosen = ports.choose(record.ports, USUAL_PORTS)
        record = record.model_copy(update={"ports": chosen, "root": _kept_root(record) or root})
        record.write(layout)
        stack = plan(settings, record, outer)
        _write_files(stack, root)
        if stack.own:
            check_own_buckets(settings)
        running = running_services(stack, record)
        _end_remains(stack, record, running)

        def remember(name: str, started: Started) -> None:
            nonlocal record
            record = record.with_service(name, started)
            record.write(layout)

        with ThreadPoolExecutor(1, "deploy") as pool:
            deployed: Future[str | None] | None = None

            def prepare(name: str) -> None:
                nonlocal deployed
                if name == STORAGE:
                    make_buckets(settings, stack.client)
                if name == PREFECT:
                    make_pools(POOLS, stack.client)
                    remove_automation(CRASH_AUTOMATION, stack.client)
                    # Workers, which do not need the deployments to start, start meanwhile.
                    deployed = pool.submit(_deploy, stack, root, record.deployed, deploying)

            healthy = bring_up(stack.services, running, layout, remember, prepare)
            if deployed is not None:
                record = record.model_copy(update={"deployed": deployed.result()})
        record.write(layout)
    return healthy


def down(settings: Settings | None = None) -> int:
    """Ends every process of the stack, workers and their flow runs first, and keeps the data.

    Returns:
        Number of processes that were ended.

    Raises:
        SiameseError: A process cannot be ended, even by SIGKILL.
    """
    layout = Layout(absolute(settings).home)
    if not layout.home.is_dir():
        return 0
    with locked(layout):
        ended, record = 0, _readable(layout)
        for _ in range(_ROUNDS):
            first = _first_to_end(processes.members(layout.home), record)
            if not first:
                break
            processes.end(first, grace_s=GRACE_S)
            ended += len(first)
        else:
            pids = ", ".join(str(process.pid) for process in first)
            raise SiameseError("will not end", where=f"processes {pids}", fix="see what holds them, then try again")
        remove_storage_sockets(record.ports)
        record.model_copy(update={"services": {}, "root": None}).write(layout)
    return ended


def _readable(layout: Layout) -> Record:
    try:
        return Record.read(layout)
    except SiameseError:
        return Record()


def _kept_root(record: Record) -> Path | None:
    return record.root if record.root and record.root.is_dir() else None


def _first_to_end(found: list[processes.Member], record: Record) -> list[psutil.Process]:
    """Returns the processes to end next.

    First the watchdog, which would reschedule flow runs; then flow runs, while they can still report their end, and
    what they leave behind; then workers; then servers.
    """
    services = {began.identity.pid for began in record.services.values()}
    workers = [member.process for member in found if member.service.startswith(WORKER)]
    runs = [process for process in workers if process.pid not in services]
    heads = [process for process in runs if processes.session(process) == process.pid]
    watchdogs = [member.process for member in found if member.service == WATCHDOG]
    return watchdogs or heads or runs or workers or [member.process for member in found]


def running_services(stack: Plan, record: Record) -> dict[str, processes.Identity]:
    """Returns the running services: recorded ones, and any whose caller was killed before it could record them."""
    running = {name: began.identity for name, began in record.services.items() if began.identity.find()}
    commands = {service.name: list(service.command) for service in stack.services}
    for member in processes.members(stack.layout.home):
        if member.service in running:
            continue
        with contextlib.suppress(psutil.Error):
            if member.process.cmdline() == commands.get(member.service):
                created = member.process.create_time()
                running[member.service] = processes.Identity(pid=member.process.pid, created=created)
    return running


def _end_remains(stack: Plan, record: Record, running: Mapping[str, processes.Identity]) -> None:
    dead = {began.identity.pid for name, began in record.services.items() if name not in running}
    remains = [
        member.process for member in processes.members(stack.layout.home) if processes.session(member.process) in dead
    ]
    processes.end(remains, grace_s=GRACE_S)


def _write_files(stack: Plan, root: Path) -> None:
    write_private(stack.layout.environment, env_text(stack.client))
    write_login(stack.layout, stack.credentials)
    write_aws_files(stack.layout, stack.credentials, stack.client["AWS_ENDPOINT_URL"])
    if not stack.own:
        write_security(stack.layout.tls)
    if stack.own:
        release_dvc(root, stack.layout)
    else:
        point_dvc(root, stack.layout, stack.client["AWS_ENDPOINT_URL"])


def _deploy(stack: Plan, root: Path, deployed: str | None, deploying: bool | None) -> str | None:
    """Creates the deployments if they are wanted and have changed; returns the fingerprint of those that there are."""
    if deploying is False:
        return deployed
    wanted = fingerprint(root)
    if wanted is None or (wanted == deployed and deploying is None):
        return deployed
    with progress("deploy flows", 1) as advance:
        deploy(root, stack.whole)
        advance()
    return wanted
