"""Status report of the local stack: what runs, where its web pages are, and what is wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field

from siamese.errors import SiameseError
from siamese.settings import Settings
from siamese.stack import processes
from siamese.stack.disk import DiskSpace
from siamese.stack.health import TIMEOUT_S, prefect_fault
from siamese.stack.in_use import InUse, results_in_use
from siamese.stack.layout import Layout
from siamese.stack.prefect_api import prefect_api
from siamese.stack.record import Record
from siamese.stack.runs import RunTrouble, troubled_runs
from siamese.stack.services import POOLS, PREFECT, STORAGE, USUAL_PORTS, Service
from siamese.stack.stack import Plan, absolute, plan, running_services
from siamese.stack.starting import settings_hash
from siamese.store import ObjectStore

_SHOWN_KEY = 4


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServiceStatus(_Frozen):
    """Status of one service."""

    name: str
    state: Literal["works", "ill", "dead", "down"] = Field(
        description="works: answers; ill: runs but does not answer; dead: ended by itself; down: was not started."
    )
    page: str | None = Field(description="Where a browser or client finds it.")
    pid: int | None
    processes: int = Field(description="With its children and the flow runs of a worker.")
    memory_mib: int
    started: float | None = Field(description="Seconds since 1970.")
    trouble: str | None
    log: Path
    last_lines: list[str] = Field(description="Of the log, when something is wrong.")


class StorageStatus(_Frozen):
    """Storage settings that apply to a client started here."""

    source: str = Field(description="The local stack, or the caller's own settings by name.")
    endpoint: str | None
    access_key: str | None = Field(description="Its first letters only.")
    buckets: list[str]


class StackStatus(_Frozen):
    """Status of the whole stack."""

    home: Path
    login: Path = Field(description="File with user and password of the Prefect and MLflow pages; for its owner alone.")
    works: bool = Field(description="Every service works, no flow run crashed or hangs, and nothing else is wrong.")
    services: list[ServiceStatus]
    runs: list[RunTrouble] = Field(description="Flow runs that crashed or hang.")
    storage: StorageStatus
    memory_mib: int
    disk_free_gib: float
    maps: int | None = Field(None, description="Events that have a current map; None while storage does not answer.")
    older_maps: int | None = Field(None, description="Of them, made by an earlier version of any of their stages.")
    older_champions: list[str] | None = Field(
        None, description="Name and version of each champion that an earlier version of its stage made."
    )
    troubles: list[str] = Field(description="What is wrong with the stack as a whole, and what to do.")


def status(settings: Settings | None = None, *, outer: Mapping[str, str] | None = None) -> StackStatus:
    """Inspects the whole stack without changing anything.

    Args:
        settings: The stack's folder and bucket names.
        outer: The caller's environment, ``os.environ`` by default.

    Raises:
        SiameseError: The stack's record is corrupt.
    """
    settings = absolute(settings)
    outer = os.environ if outer is None else outer
    layout = Layout(settings.home)
    record = Record.read(layout)
    known = record.model_copy(update={"ports": dict.fromkeys(USUAL_PORTS, 0) | record.ports})
    stack = plan(settings, known, outer)
    running = running_services(stack, record)
    found = processes.members(settings.home)
    with ThreadPoolExecutor(len(stack.services)) as pool:
        services = list(pool.map(lambda service: _service(service, stack, record, running, found), stack.services))
    prefect_works = any(service.name == PREFECT and service.state == "works" for service in services)
    runs, unread = _runs(stack) if prefect_works else ([], None)
    storage_works = stack.own or any(service.name == STORAGE and service.state == "works" for service in services)
    used, unreadable = _in_use(stack, outer) if storage_works else (None, None)
    disk = DiskSpace.of(settings.home, holds_storage=not stack.own)
    troubles = _troubles(stack, record, running, disk, outer)
    if unread:
        troubles.append(f"flow runs could not be read: {unread}")
    if stack.own and unreadable:
        troubles.append(f"your own storage: {unreadable}")
    return StackStatus(
        home=settings.home,
        login=layout.login,
        works=not troubles and not runs and all(service.state == "works" for service in services),
        services=services,
        runs=runs,
        storage=_storage(stack, outer),
        memory_mib=sum(service.memory_mib for service in services),
        disk_free_gib=round(disk.free / 2**30, 1),
        maps=used.maps if used else None,
        older_maps=used.older_maps if used else None,
        older_champions=list(used.older_champions) if used else None,
        troubles=troubles,
    )


def _service(
    service: Service,
    stack: Plan,
    record: Record,
    running: Mapping[str, processes.Identity],
    found: list[processes.Member],
) -> ServiceStatus:
    identity = running.get(service.name)
    own = [member.process for member in found if member.service == service.name]
    log = stack.layout.log(service.name)
    trouble = service.fault(identity) if identity else None
    if identity is None and service.name in record.services:
        trouble = "ended by itself; `siamese up` starts it again"
    state: Literal["works", "ill", "dead", "down"] = (
        ("ill" if trouble else "works") if identity else ("dead" if trouble else "down")
    )
    return ServiceStatus(
        name=service.name,
        state=state,
        page=service.page if identity else None,
        pid=identity.pid if identity else None,
        processes=len(own),
        memory_mib=sum(map(processes.memory_bytes, own)) >> 20,
        started=identity.created if identity else None,
        trouble=trouble,
        log=log,
        last_lines=processes.last_lines(log) if trouble else [],
    )


def _runs(stack: Plan) -> tuple[list[RunTrouble], str | None]:
    """Returns the runs that crashed or hang, or says why Prefect does not tell."""
    try:
        with prefect_api(stack.client, TIMEOUT_S * 4) as client:
            return troubled_runs(client, POOLS), None
    except httpx.HTTPStatusError as error:
        fault = prefect_fault(error, stack.client)
        return [], fault.what if fault else str(error)
    except httpx.HTTPError as error:
        return [], str(error) or type(error).__name__


def _in_use(stack: Plan, outer: Mapping[str, str]) -> tuple[InUse | None, SiameseError | None]:
    """Counts the results in use, or gives the reason why storage does not answer."""
    try:
        return results_in_use(ObjectStore(stack.settings, outer, patient=False)), None
    except SiameseError as error:
        return None, error


def _storage(stack: Plan, outer: Mapping[str, str]) -> StorageStatus:
    settings = stack.settings
    names = [settings.raw_bucket, settings.lake_bucket, settings.maps_bucket]
    if stack.own:
        key = outer.get("AWS_ACCESS_KEY_ID")
        endpoint = outer.get("AWS_ENDPOINT_URL_S3") or outer.get("AWS_ENDPOINT_URL")
        source = f"your environment ({', '.join(stack.own)})"
    else:
        key, endpoint, source = stack.client["AWS_ACCESS_KEY_ID"], stack.client["AWS_ENDPOINT_URL"], "the local stack"
        if not stack.layout.environment.is_file():
            key, endpoint, source = None, None, "none yet: `siamese up` makes a local one"
    return StorageStatus(
        source=source, endpoint=endpoint, access_key=f"{key[:_SHOWN_KEY]}…" if key else None, buckets=names
    )


def _troubles(
    stack: Plan, record: Record, running: Mapping[str, processes.Identity], disk: DiskSpace, outer: Mapping[str, str]
) -> list[str]:
    troubles = []
    if record.before_reboot:
        troubles.append("the machine was started again since; `siamese up` brings the stack back")
    if disk.trouble:
        troubles.append(disk.trouble)
    changed = [
        service.name
        for service in stack.services
        if service.name in running
        and service.name in record.services
        and record.services[service.name].settings != settings_hash(service)
    ]
    if changed:
        troubles.append(f"{', '.join(changed)}: started with other settings than yours now; `siamese down`, then `up`")
    elsewhere = [
        name
        for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI")
        if running and outer.get(name, stack.client[name]) != stack.client[name]
    ]
    if elsewhere:
        troubles.append(
            f"{', '.join(elsewhere)} of your environment point elsewhere, and win; unset them for this stack"
        )
    return troubles
