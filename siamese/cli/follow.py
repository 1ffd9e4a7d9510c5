"""Runs a Prefect deployment and reports its progress until it ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, Log, TaskRun
from prefect.client.schemas.sorting import LogSort
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from siamese.errors import SiameseError
from siamese.servers import Answer, prefect_server

POLL_S = 1.0
PAGE = 200


def run_and_follow(deployment: str, parameters: dict[str, Any], tell: Callable[[str], None]) -> FlowRun:
    """Starts a run of a deployment and reports its progress: its own log lines, warnings, and each task that ends.

    Args:
        deployment: ``flow/deployment``.
        parameters: Parameters of the flow.
        tell: Called with each line of progress, from this run and the runs that it starts.

    Returns:
        The completed run.

    Raises:
        SiameseError: There is no such deployment, its run did not complete, or the server refuses the login.
        TransientError: The server does not answer.
    """
    with prefect_failures(), get_client(sync_client=True) as client:
        try:
            found = client.read_deployment_by_name(deployment)
        except ObjectNotFound as error:
            raise SiameseError("no such deployment", where=deployment, fix="run `siamese up` in the project") from error
        run = client.create_flow_run_from_deployment(found.id, parameters=parameters)
        told: set[UUID] = set()
        while True:
            ended = run.state is not None and run.state.is_final()
            for line in _news(client, run, told):
                tell(line)
            if ended:
                break
            time.sleep(POLL_S)
            run = client.read_flow_run(run.id)
    if run.state is None or not run.state.is_completed():
        message = (run.state and run.state.message) or "no reason given"
        raise SiameseError(f"ended as {run.state_name}: {message}", where=f"{deployment} ({run.name})")
    return run


@contextmanager
def prefect_failures() -> Iterator[None]:
    """Turns exceptions raised by Prefect's client into errors that state what to do."""
    try:
        yield
    except (httpx.HTTPStatusError, httpx.TransportError) as error:
        # From the environment, the active profile and prefect.toml, as Prefect itself read them.
        known = get_current_settings().api
        server = prefect_server(
            str(known.url or error.request.url), auth_string=bool(known.auth_string), api_key=bool(known.key)
        )
        if isinstance(error, httpx.TransportError):
            raise server.away(str(error)) from error
        response = error.response
        media_type = response.headers.get("Content-Type", "")
        fault = server.fault(Answer(response.status_code, str(response.url), media_type, response.text))
        raise fault or SiameseError(f"refused: {error}", where=server.where) from error


def _news(client: SyncPrefectClient, run: FlowRun, told: set[UUID]) -> Iterator[str]:
    children = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run.id]))
    )
    family = [run.id, *(child.id for child in children)]
    for log in _logs(client, family):
        if log.id not in told and (log.name.startswith("siamese") or log.level >= logging.WARNING):
            yield f"{log.timestamp.astimezone():%H:%M:%S} {log.message}"
        told.add(log.id)
    # Prefect keeps a task run for each child too, under the child's random name; the parent's own task reports it.
    told.update(child.parent_task_run_id for child in children if child.parent_task_run_id is not None)
    for task in client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=family))):
        if task.state is not None and task.state.is_final() and task.id not in told:
            told.add(task.id)
            name = task.name.rsplit("-", 1)[0].replace("_", " ")
            yield f"{task.state.timestamp.astimezone():%H:%M:%S} {name}: {task.state_name}, {_seconds(task)} s".lower()


def _logs(client: SyncPrefectClient, family: list[UUID]) -> Iterator[Log]:
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=family))
    offset = 0
    while page := client.read_logs(wanted, sort=LogSort.TIMESTAMP_ASC, limit=PAGE, offset=offset):
        yield from page
        offset += len(page)


def _seconds(task: TaskRun) -> str:
    return f"{task.total_run_time.total_seconds():.1f}"
