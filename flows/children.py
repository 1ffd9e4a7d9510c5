"""Runs of other deployments: started once, found again by whoever asks for the same work, awaited within bounds."""

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

POLL_S: Final = 5.0
WAIT_S: Final = 12 * 3600.0
"""How long one attempt of a task waits; the next attempt goes on waiting for the same run."""
_GIVEN_UP = {StateType.CANCELLING, StateType.CANCELLED, StateType.COMPLETED, StateType.CRASHED, StateType.FAILED}


def run_child(deployment: str, parameters: dict[str, Any], *, key: str, wait_s: float = WAIT_S) -> FlowRun:
    """Runs a deployment and waits until its run has completed.

    Args:
        deployment: ``flow/deployment``.
        parameters: Of the flow.
        key: Identity of the work. While a run of this key goes on, it is awaited and no other is started.
        wait_s: Seconds to wait at most.

    Returns:
        The completed run.

    Raises:
        TransientError: It has not ended yet, or it crashed; asked again, the same work goes on.
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
    """The run of this work that goes on, else a new one; of several that ask at once, all get the same."""
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
    """Polls a run until it ends or time is up; a server that is away meanwhile changes nothing."""
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
