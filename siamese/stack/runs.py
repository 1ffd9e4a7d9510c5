"""Finds flow runs that Prefect believes to be alive but that have no process, and has them run again.

Every run of the stack is a process on this machine, so whether it is alive is observed, not inferred from heartbeats: a
run that lives while the Prefect server is down keeps its state, and one killed before its first heartbeat is found too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx
import psutil
from pydantic import BaseModel, ConfigDict, Field

RUN_MARK = "PREFECT__FLOW_RUN_ID"
"""Environment variable of a flow run's process."""
PATIENCE_S: Mapping[str, float] = {"PENDING": 120.0, "RUNNING": 20.0, "CANCELLING": 60.0}
"""How long a state may last without a process: a worker needs a while to start one, and an engine to end."""
LATE_S = 600.0
"""A run that should have begun this long ago hangs when nothing else runs in its pool: no worker takes it."""
MOST_RESTARTS = 3
RESTARTED = "Rescheduled"
_WAITS = ("AwaitingConcurrencySlot", "AwaitingRetry")
_CRASHES_SHOWN = timedelta(days=7)
_PAGE = 200


class RunTrouble(BaseModel):
    """A flow run that has crashed or hangs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    deployment: str | None = Field(description="``flow/deployment`` that it is a run of.")
    kind: Literal["crashed", "hangs"]
    state: str
    since: datetime
    seconds: float = Field(description="How long ago it crashed, or since when it hangs.")
    message: str | None = Field(description="What Prefect says of it.")


def processes_of_runs() -> frozenset[str]:
    """Returns the ids of flow runs that have a process on this machine, as far as this user may see."""
    found = set()
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            run = process.environ().get(RUN_MARK)
            if run and process.status() != psutil.STATUS_ZOMBIE:
                found.add(run)
    return frozenset(found)


def lost_runs(
    client: httpx.Client, pools: Iterable[str], patience_s: Mapping[str, float] = PATIENCE_S
) -> list[dict[str, Any]]:
    """Returns the runs that Prefect believes to be alive but that have no process.

    Args:
        client: Client of the Prefect API.
        pools: Work pools whose workers run on this machine.
        patience_s: Seconds that a run may spend in each state without a process.
    """
    # In this order: an engine reports the end of its run before its process ends.
    alive = processes_of_runs()
    return [
        run
        for run in _runs(client, pools, {"state": {"type": {"any_": list(patience_s)}}})
        if run["id"] not in alive and _seconds(_since(run)) > patience_s[run["state"]["type"]]
    ]


def take_up(client: httpx.Client, run: Mapping[str, Any]) -> str:
    """Reschedules a lost run on a worker, unless it was being cancelled or has been lost too often.

    Stages reuse what is already published, so the run resumes where it was lost.

    Returns:
        The run's new state.
    """
    state: dict[str, Any]
    if run["state"]["type"] == "CANCELLING":
        state = {"type": "CANCELLED", "message": "Cancelled; its process was gone already."}
    elif run["deployment_id"] is None or _restarts(client, run["id"]) >= MOST_RESTARTS:
        state = {"type": "CRASHED", "message": "Its process is gone: it, its worker or the machine was killed."}
    else:
        message = "Its process was gone: it, its worker or the machine was killed. It runs again and goes on."
        state = {"type": "SCHEDULED", "name": RESTARTED, "message": message}
    # Forced, as Prefect lets only the run itself leave some of these states; its slot is freed all the same.
    client.post(f"/flow_runs/{run['id']}/set_state", json={"state": state, "force": True}).raise_for_status()
    return str(state.get("name", state["type"]))


def troubled_runs(client: httpx.Client, pools: Sequence[str]) -> list[RunTrouble]:
    """Returns runs that hang, and crashed runs whose deployment has not completed a run since; newest first."""
    lost = [_trouble(client, run, "hangs") for run in lost_runs(client, pools)]
    # A worker that takes one run at a time may be busy for hours.
    busy = {run["work_pool_name"] for run in _runs(client, pools, {"state": {"type": {"any_": ["RUNNING"]}}})}
    late = [
        _trouble(client, run, "hangs")
        for run in _runs(client, pools, {"state": {"type": {"any_": ["SCHEDULED"]}}, **_due()})
        if run["state"]["name"] not in _WAITS and run["work_pool_name"] not in busy
    ]
    after = (datetime.now(UTC) - _CRASHES_SHOWN).isoformat()
    ended = {"state": {"type": {"any_": ["CRASHED", "COMPLETED"]}}, "end_time": {"after_": after}}
    crashed, completed = [], set()
    for run in _runs(client, pools, ended):
        if run["state"]["type"] == "COMPLETED":
            completed.add(run["deployment_id"])
        elif run["deployment_id"] is None or run["deployment_id"] not in completed:
            crashed.append(_trouble(client, run, "crashed"))
    return [*lost, *late, *crashed]


def _due() -> dict[str, Any]:
    return {"next_scheduled_start_time": {"before_": (datetime.now(UTC) - timedelta(seconds=LATE_S)).isoformat()}}


def _runs(client: httpx.Client, pools: Iterable[str], wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns all matching runs, most recently ended first."""
    found: list[dict[str, Any]] = []
    while len(found) % _PAGE == 0:
        asked = {
            "flow_runs": wanted,
            "work_pools": {"name": {"any_": list(pools)}},
            "sort": "END_TIME_DESC",
            "limit": _PAGE,
            "offset": len(found),
        }
        page = client.post("/flow_runs/filter", json=asked).raise_for_status().json()
        found += page
        if not page:
            break
    return found


def _since(run: Mapping[str, Any]) -> datetime:
    if run["state"]["type"] == "SCHEDULED" and run["next_scheduled_start_time"]:
        return datetime.fromisoformat(run["next_scheduled_start_time"])
    return datetime.fromisoformat(run["state"]["timestamp"])


def _seconds(since: datetime) -> float:
    return (datetime.now(UTC) - since).total_seconds()


def _restarts(client: httpx.Client, run: str) -> int:
    states = client.get("/flow_run_states/", params={"flow_run_id": run}).raise_for_status().json()
    return sum(state["name"] == RESTARTED for state in states)


def _trouble(client: httpx.Client, run: Mapping[str, Any], kind: Literal["crashed", "hangs"]) -> RunTrouble:
    since = _since(run)
    return RunTrouble(
        id=run["id"],
        name=run["name"],
        deployment=_deployment(client, run),
        kind=kind,
        state=run["state"]["name"],
        since=since,
        seconds=round(_seconds(since), 1),
        message=run["state"]["message"],
    )


def _deployment(client: httpx.Client, run: Mapping[str, Any]) -> str | None:
    if run["deployment_id"] is None:
        return None
    flow, deployment = (client.get(f"/{kind}/{run[f'{kind[:-1]}_id']}") for kind in ("flows", "deployments"))
    if not (flow.is_success and deployment.is_success):
        return None
    return f"{flow.json()['name']}/{deployment.json()['name']}"
