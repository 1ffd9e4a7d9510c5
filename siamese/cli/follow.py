"""Runs a Prefect deployment and tells its progress until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, Log
from prefect.client.schemas.sorting import LogSort
from prefect.exceptions import ObjectNotFound

from siamese.errors import SiameseError

POLL_S = 1.0
PAGE = 200


def run_and_follow(deployment: str, parameters: dict[str, Any], tell: Callable[[Log], None]) -> FlowRun:
    """Starts a run of a deployment and passes on its log lines, and those of the runs it starts, as they come.

    Args:
        deployment: ``flow/deployment``.
        parameters: Of the flow.
        tell: Called once for each log line.

    Returns:
        The completed run.

    Raises:
        SiameseError: There is no such deployment, or its run did not complete.
    """
    with get_client(sync_client=True) as client:
        try:
            found = client.read_deployment_by_name(deployment)
        except ObjectNotFound as error:
            raise SiameseError("no such deployment", where=deployment, fix="run `siamese up` in the project") from error
        run = client.create_flow_run_from_deployment(found.id, parameters=parameters)
        told: set[UUID] = set()
        while True:
            ended = run.state is not None and run.state.is_final()
            for log in _new_logs(client, run, told):
                tell(log)
            if ended:
                break
            time.sleep(POLL_S)
            run = client.read_flow_run(run.id)
    if run.state is None or not run.state.is_completed():
        message = (run.state and run.state.message) or "no reason given"
        raise SiameseError(f"ended as {run.state_name}: {message}", where=f"{deployment} ({run.name})")
    return run


def _new_logs(client: SyncPrefectClient, run: FlowRun, told: set[UUID]) -> list[Log]:
    children = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run.id]))
    )
    family = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id, *(child.id for child in children)]))
    fresh: list[Log] = []
    offset = 0
    while page := client.read_logs(family, sort=LogSort.TIMESTAMP_ASC, limit=PAGE, offset=offset):
        fresh += [log for log in page if log.id not in told]
        offset += len(page)
    told.update(log.id for log in fresh)
    return fresh
