"""Servers, workers and machines that go away in the middle of a flow run: the work is done all the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from waiting import until

from siamese.settings import read_stack_environment
from siamese.stack import status, up
from siamese.stack.layout import Layout
from siamese.stack.prefect_api import prefect_api
from siamese.stack.record import Record
from siamese.stack.runs import RUN_MARK, lost_runs, processes_of_runs, take_up

if TYPE_CHECKING:
    from running_stack import RunningStack

FLOW = """
import time
from pathlib import Path
import mlflow
from prefect import flow, task
from siamese.store import ObjectStore

@task(retries=9, retry_delay_seconds=2)
def work(number: int) -> None:
    store = ObjectStore()
    store.put(store.lake / f"tried/{number}", b"done")
    mlflow.set_experiment("tried")
    with mlflow.start_run():
        mlflow.log_metric("number", number)
    print(f"step {number} is done")

@flow
def steps(name: str, count: int = 8, until: str | None = None) -> None:
    with Path(name).open("a") as log:
        log.write("begun\\n")
    for number in range(count):
        work(number)
    while until and not Path(until).exists():
        print("it goes on", flush=True)
        time.sleep(0.5)
    with Path(name).open("a") as log:
        log.write("ended\\n")
"""
DEPLOYMENTS = """
name: tried
deployments:
  - {name: tried, entrypoint: "steps.py:steps", work_pool: {name: cpu}, concurrency_limit: 1}
"""
PATIENCE_S = 300


class Project:
    """A project with one flow, deployed to a running stack."""

    def __init__(self, stack: RunningStack, root: Path) -> None:
        self.stack, self.root = stack, root
        self.outer = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        (root / "steps.py").write_text(FLOW)
        (root / "prefect.yaml").write_text(DEPLOYMENTS)
        self.client = prefect_api(stack.environment, timeout_s=60)

    def up(self, *, deploying: bool | None = None) -> set[str]:
        """Brings up what does not run; gives what it started."""
        healthy = up(self.stack.settings, root=self.root, outer=self.outer, deploying=deploying)
        return {service.name for service in healthy if service.started}

    def start(self, **parameters: object) -> str:
        """Makes a run; gives its id."""
        deployment = self.client.get("/deployments/name/steps/tried").raise_for_status().json()["id"]
        made = self.client.post(f"/deployments/{deployment}/create_flow_run", json={"parameters": parameters})
        return str(made.raise_for_status().json()["id"])

    def run(self, run: str) -> dict[str, Any]:
        """What Prefect says of a run."""
        found: dict[str, Any] = self.client.get(f"/flow_runs/{run}").raise_for_status().json()
        return found

    def wait(self, run: str, *states: str) -> dict[str, Any]:
        """Waits until the run is in one of the states; answers that fail while a server is away are asked again."""
        seen = ""
        for _ in range(PATIENCE_S * 5):
            try:
                found = self.run(run)
                seen = found["state"]["name"]
                if found["state"]["type"] in states:
                    return found
            except httpx.HTTPError as error:
                seen = repr(error)
            time.sleep(0.2)
        pytest.fail(f"the run is {seen}, not {states}")

    def lines(self, name: str) -> list[str]:
        """What runs wrote to a file of the project."""
        return (self.root / name).read_text().split() if (self.root / name).exists() else []

    def pid(self, service: str) -> int:
        """Of a service."""
        return Record.read(Layout(self.stack.settings.home)).services[service].identity.pid

    def process(self, run: str) -> psutil.Process:
        """The process of a run that is running."""
        for process in psutil.process_iter():
            try:
                if process.environ().get(RUN_MARK) == run:
                    return process
            except psutil.Error:
                continue
        pytest.fail("the run has no process")


@pytest.fixture(scope="module")
def project(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(stack, stack.root)
    project.up(deploying=True)
    return project


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [])


@pytest.mark.parametrize("server", ["storage", "prefect", "mlflow"])
def test_a_server_that_is_killed_and_started_again_ends_no_run(project: Project, server: str) -> None:
    name = f"restart-{server}"
    run = project.start(name=name, count=30)
    project.wait(run, "RUNNING")
    process = project.process(run)
    kill(project.pid(server))
    assert project.up() == {server}
    ended = project.wait(run, "COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    assert ended["state"]["type"] == "COMPLETED", ended["state"]
    assert project.lines(name) == ["begun", "ended"]
    assert ended["run_count"] == 1
    psutil.wait_procs([process], timeout=60)


def test_a_run_whose_worker_died_goes_on(project: Project) -> None:
    run = project.start(name="orphan", count=1, until="orphan-may-end")
    project.wait(run, "RUNNING")
    process = project.process(run)
    kill(project.pid("worker-cpu"))
    output = Layout(project.stack.settings.home).log("worker-cpu")
    before = output.read_text().count("it goes on")

    def went_on() -> bool:
        assert process.is_running()
        return output.read_text().count("it goes on") >= before + 3

    until(went_on, "three more lines of the run")
    assert project.up() == {"worker-cpu"}
    (project.root / "orphan-may-end").touch()
    ended = project.wait(run, "COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    assert ended["state"]["type"] == "COMPLETED"
    assert project.lines("orphan") == ["begun", "ended"]


def test_a_run_that_was_killed_with_its_worker_is_seen_and_runs_again(project: Project) -> None:
    run = project.start(name="killed", count=1, until="killed-may-end")
    until(lambda: project.lines("killed") == ["begun"], "the flow's first line")
    process, watchdog = project.process(run), psutil.Process(project.pid("watchdog"))
    watchdog.suspend()
    kill(project.pid("worker-cpu"))
    kill(process.pid)
    assert run not in processes_of_runs()
    time.sleep(1)
    assert [lost["id"] for lost in lost_runs(project.client, ["cpu"], {"RUNNING": 0.5})] == [run]
    seen = _status_until(project, lambda runs: bool(runs))
    assert [(trouble["id"], trouble["kind"], trouble["deployment"]) for trouble in seen] == [
        (run, "hangs", "steps/tried")
    ]
    watchdog.resume()
    assert project.up() == {"worker-cpu"}
    (project.root / "killed-may-end").touch()
    ended = project.wait(run, "COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    assert ended["state"]["type"] == "COMPLETED"
    assert project.lines("killed") == ["begun", "begun", "ended"]
    assert status(project.stack.settings, outer=project.outer).runs == []


def test_a_run_that_never_began_is_found_and_one_that_is_lost_ever_again_crashes(project: Project) -> None:
    now = project.client.get("/deployments/name/steps/tried").json()["id"]
    later = {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": "2999-01-01T00:00:00Z"}}}
    run = project.client.post(
        f"/deployments/{now}/create_flow_run", json={**later, "parameters": {"name": "never"}}
    ).raise_for_status().json()["id"]  # fmt: skip
    watchdog = psutil.Process(project.pid("watchdog"))
    watchdog.suspend()
    worker = psutil.Process(project.pid("worker-cpu"))
    worker.suspend()
    try:
        for time_lost in range(4):
            submitting = {"state": {"type": "PENDING", "name": "Submitting"}, "force": True}
            project.client.post(f"/flow_runs/{run}/set_state", json=submitting).raise_for_status()
            (lost,) = lost_runs(project.client, ["cpu"], {"PENDING": 0.0})
            assert lost["id"] == run
            assert take_up(project.client, lost) == ("Rescheduled" if time_lost < 3 else "CRASHED")
        seen = status(project.stack.settings, outer=project.outer)
        (crashed,) = seen.runs
        assert (crashed.id, crashed.kind, seen.works) == (run, "crashed", False)
        project.client.delete(f"/flow_runs/{run}")

        past = (datetime.now(UTC) - timedelta(minutes=20)).isoformat()
        due = {
            "state": {"type": "SCHEDULED", "state_details": {"scheduled_time": past}},
            "parameters": {"name": "never"},
        }
        made = project.client.post(f"/deployments/{now}/create_flow_run", json=due)
        run = made.raise_for_status().json()["id"]
        # On a loaded machine Prefect may not answer the first time; status then shows no runs.
        (late,) = until(lambda: status(project.stack.settings, outer=project.outer).runs, "the late run")
        assert (late.id, late.kind) == (run, "hangs")
        assert late.seconds > 1000
    finally:
        project.client.delete(f"/flow_runs/{run}")
        worker.resume()
        watchdog.resume()


def _status_until(project: Project, enough: Callable[[list[Any]], bool]) -> list[dict[str, Any]]:
    siamese = Path(sys.executable).with_name("siamese")
    environment = project.outer | read_stack_environment(project.stack.settings.home)
    environment["SIAMESE_HOME"] = str(project.stack.settings.home)
    for _ in range(60):
        done = subprocess.run(
            [siamese, "status", "--json"], env=environment, cwd=project.root, capture_output=True, check=False
        )
        runs: list[dict[str, Any]] = json.loads(done.stdout)["runs"]
        if enough(runs):
            assert done.returncode == 1
            return runs
        time.sleep(1)
    pytest.fail("status shows nothing")
