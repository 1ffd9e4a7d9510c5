"""The whole local stack, with real servers: up, up again, killed, mended, down; and what its clients do with it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from botocore.exceptions import ClientError
from waiting import until

from siamese.errors import SiameseError
from siamese.settings import read_stack_environment
from siamese.stack import down, processes, status, up
from siamese.stack.health import storage_client
from siamese.stack.layout import Layout
from siamese.stack.prefect_api import prefect_api
from siamese.stack.preparation import CRASH_AUTOMATION, job_template, make_pools, remove_automation
from siamese.stack.record import Record

if TYPE_CHECKING:
    from running_stack import RunningStack

SERVICES = {"storage", "prefect", "mlflow", "worker-cpu", "worker-gpu", "watchdog"}
SIAMESE = Path(sys.executable).with_name("siamese")

FLOW = """
import os, sys, time
from pathlib import Path
from prefect import flow

@flow
def look(seconds: int = 0) -> None:
    seen = {"cwd": os.getcwd(), "python": sys.executable, "environment": dict(os.environ)}
    Path("seen.json").write_text(__import__("json").dumps(seen))
    time.sleep(seconds)

if __name__ == "__main__":
    look()
"""
DEPLOYMENTS = """
name: tried
deployments:
  - {name: tried, entrypoint: "look.py:look", work_pool: {name: gpu}}
"""


@pytest.fixture
def outer(stack: RunningStack) -> dict[str, str]:
    """The environment of somebody who has no storage of their own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project's folder."""
    return tmp_path_factory.mktemp("a project")


@pytest.fixture
def again(stack: RunningStack, project: Path, outer: dict[str, str]) -> Callable[..., set[str]]:
    """Calls ``up`` again, for the project; gives the names of the services that it started."""

    def call(deploying: bool | None = None) -> set[str]:
        healthy = up(stack.settings, root=project, outer=outer, deploying=deploying)
        assert {service.name for service in healthy} == SERVICES
        return {service.name for service in healthy if service.started}

    return call


def pids(stack: RunningStack) -> dict[str, int]:
    record = Record.read(Layout(stack.settings.home))
    return {name: began.identity.pid for name, began in record.services.items()}


def api(stack: RunningStack) -> httpx.Client:
    return prefect_api(stack.environment, timeout_s=60)


def run_flow(client: httpx.Client, wanted: set[str], **parameters: int) -> str:
    deployment = client.get("/deployments/name/look/tried").raise_for_status().json()["id"]
    made = client.post(f"/deployments/{deployment}/create_flow_run", json={"parameters": parameters})
    run = made.raise_for_status().json()["id"]
    until(
        lambda: client.get(f"/flow_runs/{run}").raise_for_status().json()["state"]["type"] in wanted,
        f"a run that is {wanted}",
        every_s=0.1,
    )
    return str(run)


def test_everything_works_and_can_be_reached_from_this_machine_only(stack: RunningStack, outer: dict[str, str]) -> None:
    seen = status(stack.settings, outer=outer)
    assert seen.works, seen
    assert {service.name for service in seen.services} == SERVICES
    listening = [
        connection.laddr.ip
        for member in processes.members(stack.settings.home)
        for connection in member.process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    ]
    assert len(listening) >= 3
    assert set(listening) == {"127.0.0.1"}


def test_secrets_can_be_read_by_their_owner_alone(stack: RunningStack) -> None:
    home = stack.settings.home
    assert home.stat().st_mode & 0o777 == 0o700
    for path in (home / "stack.env", home / "stack.json", home / "aws/credentials", home / "aws/config"):
        assert path.stat().st_mode & 0o777 == 0o600, path
    secret = read_stack_environment(home)["AWS_SECRET_ACCESS_KEY"]
    assert len(secret) >= 40
    for member in processes.members(home):
        assert secret not in " ".join(member.process.cmdline())
    for log in (home / "logs").iterdir():
        assert secret not in log.read_text(errors="replace")


def test_a_wrong_secret_is_refused(stack: RunningStack) -> None:
    wrong = stack.environment | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        storage_client(wrong).list_buckets()


def test_a_second_up_changes_nothing(stack: RunningStack, again: Callable[..., set[str]]) -> None:
    kept = [stack.settings.home / name for name in ("stack.json", "stack.env", "aws/credentials", "aws/config")]
    before = [(path.stat().st_mtime_ns, path.stat().st_ino) for path in kept], pids(stack)
    assert again() == set()
    assert ([(path.stat().st_mtime_ns, path.stat().st_ino) for path in kept], pids(stack)) == before
    with api(stack) as client:
        pools = [(pool["name"], pool["type"]) for pool in client.post("/work_pools/filter", json={}).json()]
    assert sorted(pools) == [("cpu", "process"), ("gpu", "process")]


def test_two_at_once_start_nothing_twice(stack: RunningStack) -> None:
    before = pids(stack)
    command = [str(SIAMESE), "up", "--json"]
    both = [subprocess.Popen(command, cwd=stack.root, env=stack.environment, stdout=subprocess.PIPE) for _ in range(2)]
    answers = [json.loads(one.communicate(timeout=120)[0]) for one in both]
    assert [answer["started"] for answer in answers] == [[], []]
    assert pids(stack) == before


def test_status_tells_of_other_settings_other_servers_and_a_full_disk(
    stack: RunningStack, outer: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("siamese.stack.disk.SHORT_BYTES", 2**80)
    elsewhere = outer | {"PREFECT_API_URL": "https://prefect.example/api"}
    seen = status(stack.settings.model_copy(update={"lake_bucket": "pond"}), outer=elsewhere)
    assert not seen.works
    disk, changed, server = seen.troubles
    assert "GiB of disk are left" in disk
    assert changed.startswith("storage, prefect, mlflow, worker-cpu, worker-gpu, watchdog: started with other settings")
    assert server.startswith("PREFECT_API_URL of your environment point elsewhere")


def test_buckets_are_versioned(stack: RunningStack) -> None:
    client = storage_client(stack.environment)
    for bucket in ("raw", "lake", "maps"):
        assert client.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"


def test_a_pool_and_an_automation_of_an_earlier_version_are_mended(stack: RunningStack) -> None:
    trigger = {"type": "event", "posture": "Reactive", "expect": ["never"], "threshold": 1, "within": 0}
    automation = {"name": CRASH_AUTOMATION, "trigger": trigger, "actions": [{"type": "do-nothing"}]}
    open_to_all = {
        "job_configuration": {"command": "{{ command }}"},
        "variables": {"type": "object", "properties": {"command": {}}},
    }
    with api(stack) as client:
        client.post("/automations/", json=automation).raise_for_status()
        client.patch("/work_pools/cpu", json={"base_job_template": open_to_all}).raise_for_status()
        make_pools(["cpu", "gpu"], stack.environment)
        remove_automation(CRASH_AUTOMATION, stack.environment)
        assert client.get("/work_pools/cpu").json()["base_job_template"] == job_template()
        named = {"automations": {"name": {"any_": [CRASH_AUTOMATION]}}}
        assert client.post("/automations/filter", json=named).json() == []


def test_mlflow_clients_write_artifacts_to_storage_themselves(stack: RunningStack) -> None:
    code = (
        "import mlflow; mlflow.set_experiment('tried')\n"
        "with mlflow.start_run() as run: mlflow.log_text('seen', 'note.txt')\n"
        "print(run.info.artifact_uri)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=stack.environment, capture_output=True, check=True)
    address = done.stdout.decode().split()[-1]
    assert address.startswith("s3://lake/mlflow/")
    key = f"{address.removeprefix('s3://lake/')}/note.txt"
    assert storage_client(stack.environment).get_object(Bucket="lake", Key=key)["Body"].read() == b"seen"
    log = Layout(stack.settings.home).log("mlflow").read_text()
    assert "mlflow-artifacts" not in log


def test_dvc_pushes_and_pulls_through_the_committed_remote(
    stack: RunningStack, project: Path, again: Callable[..., set[str]], outer: dict[str, str]
) -> None:
    def dvc(*words: str) -> None:
        command = [sys.executable, "-m", "dvc", *words]
        subprocess.run(command, cwd=project, env=outer | {"DVC_NO_ANALYTICS": "1"}, check=True, capture_output=True)

    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    dvc("init", "--quiet")
    (project / ".dvc" / "config").write_text(
        "[core]\n    remote = lake\n['remote \"lake\"']\n    url = s3://lake/dvc\n"
    )
    local = project / ".dvc" / "config.local"
    local.write_text("[core]\n    autostage = false\n")
    again()
    written = local.read_text(), local.stat().st_mtime_ns
    again()
    assert (local.read_text(), local.stat().st_mtime_ns) == written
    assert "autostage = false" in written[0]
    assert read_stack_environment(stack.settings.home)["AWS_SECRET_ACCESS_KEY"] not in written[0]
    data = project / "data.bin"
    data.write_bytes(b"versioned")
    dvc("add", "data.bin")
    dvc("push")
    data.unlink()
    subprocess.run(["rm", "-r", str(project / ".dvc" / "cache")], check=True)
    dvc("pull")
    assert data.read_bytes() == b"versioned"


def test_a_killed_service_is_told_of_and_mended_alone(stack: RunningStack, again: Callable[..., set[str]]) -> None:
    before = pids(stack)
    os.kill(before["mlflow"], 9)
    os.kill(before["worker-gpu"], 9)
    command = [str(SIAMESE), "status", "--json"]

    def both_dead() -> dict[str, Any]:
        done = subprocess.run(command, env=stack.environment, cwd=stack.root, capture_output=True, check=False)
        seen = {service["name"]: service for service in json.loads(done.stdout)["services"]}
        if {seen[name]["state"] for name in ("mlflow", "worker-gpu")} != {"dead"}:
            return {}
        assert done.returncode == 1
        return seen

    seen = until(both_dead, "a status that names both as dead")
    assert seen["mlflow"]["last_lines"]
    assert "siamese up" in seen["mlflow"]["trouble"]
    assert seen["prefect"]["state"] == "works"
    assert again() == {"mlflow", "worker-gpu"}
    after = pids(stack)
    assert {name for name in SERVICES if after[name] != before[name]} == {"mlflow", "worker-gpu"}
    experiments = httpx.post(
        f"{stack.environment['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/experiments/search",
        json={"max_results": 9},
        auth=(stack.environment["MLFLOW_TRACKING_USERNAME"], stack.environment["MLFLOW_TRACKING_PASSWORD"]),
    )
    assert "tried" in {experiment["name"] for experiment in experiments.json()["experiments"]}


def test_a_prefect_file_that_is_wrong_is_named(project: Path, again: Callable[..., set[str]]) -> None:
    path = project / "prefect.yaml"
    try:
        for wrong in ("deployments: 7", "deployments: [{name: a, entrypoint: 'absent.py:f', work_pool: {name: cpu}}]"):
            path.write_text(wrong)
            with pytest.raises(SiameseError, match=r"prefect\.yaml"):
                again()
        assert again(deploying=False) == set()
    finally:
        path.unlink()


def test_flows_run_then_down_leaves_nothing_and_up_goes_on(
    stack: RunningStack, project: Path, again: Callable[..., set[str]], outer: dict[str, str]
) -> None:
    (project / "look.py").write_text(FLOW)
    (project / "prefect.yaml").write_text(DEPLOYMENTS)
    again()
    with api(stack) as client:
        deployment = client.get("/deployments/name/look/tried").raise_for_status().json()
        again()
        assert client.get("/deployments/name/look/tried").json()["updated"] == deployment["updated"]

        run_flow(client, {"COMPLETED"})
        seen = json.loads((project / "seen.json").read_text())
        assert Path(seen["cwd"]).resolve() == project.resolve()
        assert seen["python"] == sys.executable
        assert seen["environment"]["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
        assert seen["environment"]["PREFECT_LOGGING_EXTRA_LOGGERS"] == "siamese"
        assert seen["environment"]["AWS_ENDPOINT_URL"] == stack.environment["AWS_ENDPOINT_URL"]

        interrupted = run_flow(client, {"RUNNING"}, seconds=600)
    members = processes.members(stack.settings.home)
    ports = Record.read(Layout(stack.settings.home)).ports

    assert down(stack.settings) == len(members)
    assert processes.members(stack.settings.home) == []
    assert not any(member.process.is_running() for member in members)
    for port in ports.values():
        assert not list(Path("/tmp").glob(f"seaweedfs-*-{port}.sock"))  # noqa: S108
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    assert down(stack.settings) == 0
    assert {service.state for service in status(stack.settings, outer=outer).services} == {"down"}

    caller = subprocess.Popen([str(SIAMESE), "up"], cwd=project, env=stack.environment, stderr=subprocess.DEVNULL)
    first = until(lambda: processes.members(stack.settings.home), "the stack's first process", every_s=0.02)
    caller.kill()
    caller.wait()
    again()
    after = processes.members(stack.settings.home)
    assert {member.process.pid for member in first} <= {member.process.pid for member in after}
    commands = [member.process.cmdline() for member in after]
    assert sum("mini" in command for command in commands) == 1
    assert sum("worker" in command for command in commands) == 2
    assert Record.read(Layout(stack.settings.home)).ports == ports
    with api(stack) as client:
        assert client.get(f"/flow_runs/{interrupted}").json()["state"]["type"] == "CRASHED"
        assert client.get("/deployments/name/look/tried").json()["id"] == deployment["id"]
    assert storage_client(stack.environment).list_objects_v2(Bucket="lake", Prefix="dvc/")["KeyCount"] >= 1
