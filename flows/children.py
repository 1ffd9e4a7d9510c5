"""Runs other deployments: starts each once, attaches to a run of the same work, and waits for a limited time."""

from __future__ import annotations

import time
from typing import Any, Final, cast

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from flows.retries import time_may_heal
from siamese.errors import SiameseError, TransientError
from siamese.progress import LOGGER

POLL_S: Final = 2.0
WAIT_S: Final = 12 * 3600.0
"""How long one attempt of a task waits; the next attempt goes on waiting for the same run."""
_GIVEN_UP = {StateType.CANCELLING, StateType.CANCELLED, StateType.COMPLETED, StateType.CRASHED, StateType.FAILED}


def run_child(deployment: str, parameters: dict[str, Any], *, key: str, wait_s: float = WAIT_S) -> FlowRun:
    """Runs a deployment and waits for its run to complete.

    Args:
        deployment: ``flow/deployment``.
        parameters: Parameters of the flow.
        key: Identity of the work. While a run with this key is in progress, it is awaited and no other is started.
        wait_s: Maximum wait, in seconds.

    Returns:
        The completed run.

    Raises:
        TransientError: The run has not ended in time, or it crashed; calling again continues the same work.
        SiameseError: There is no such deployment, or its run failed or was cancelled.
    """
    with get_client(sync_client=True) as client:
        run = _await(client, _attach(client, deployment, parameters, key), wait_s)
    where = f"{deployment} ({run.name})"
    if run.state is None or not run.state.is_final():
        raise TransientError(f"has not ended after {wait_s / 3600:g} hours", where=where, fix="see its logs in Prefect")
    if run.state.is_crashed():
        raise TransientError("crashed; run again, it goes on from its last state", where=where)
    if not run.state.is_completed():
        reason = run.state.message or "no reason given"
        raise SiameseError(f"ended as {run.state_name}: {reason}", where=where, fix="see its logs in Prefect")
    return run


def _attach(client: SyncPrefectClient, deployment: str, parameters: dict[str, Any], key: str) -> FlowRun:
    """Returns the run of this work in progress, else a new one; concurrent callers all get the same."""
    tag = f"work:{key}"
    before = client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=[tag])))
    for run in before:
        if run.state is not None and run.state.type not in _GIVEN_UP:
            LOGGER.info(f"{deployment}: waiting for {run.name}, which does this work already")
            return run
    try:
        started = run_deployment(
            deployment, parameters=parameters, tags=[tag], idempotency_key=f"{tag}/{len(before)}", timeout=0
        )
    except ObjectNotFound as error:
        raise SiameseError("no such deployment", where=deployment, fix="run `siamese up` in the project") from error
    return cast("FlowRun", started)


def _await(client: SyncPrefectClient, run: FlowRun, wait_s: float) -> FlowRun:
    """Polls a run until it ends or time is up, and tolerates a server that is temporarily unreachable."""
    deadline = time.monotonic() + wait_s
    while (run.state is None or not run.state.is_final()) and time.monotonic() < deadline:
        time.sleep(min(POLL_S, wait_s))
        try:
            run = client.read_flow_run(run.id)
        except Exception as error:
            if not time_may_heal(error):
                raise
            LOGGER.warning(f"{run.name}: Prefect does not answer ({type(error).__name__}); waiting on")
    return run
