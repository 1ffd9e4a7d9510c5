"""Parts of the local stack that need no server: ports, processes, credentials, the record, who wins."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path

import httpx
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import until

from siamese.errors import SiameseError
from siamese.settings import Settings, effective_environment, own_storage, read_stack_environment
from siamese.stack import down, processes, status, up
from siamese.stack.certificates import write_security
from siamese.stack.environment import env_text
from siamese.stack.layout import Layout, write_private
from siamese.stack.ports import choose
from siamese.stack.prefect_api import prefect_api
from siamese.stack.processes import Identity
from siamese.stack.record import Record, Started
from siamese.stack.runs import processes_of_runs
from siamese.stack.services import PREFECT, USUAL_PORTS

OUTER = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PREFECT_", "MLFLOW_"))}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / ".siamese")


@pytest.fixture
def layout(settings: Settings) -> Layout:
    layout = Layout(settings.home)
    layout.make()
    return layout


def sleeper(home: Path, seconds: int = 600, **environment: str) -> Identity:
    code = f"import time; time.sleep({seconds})"
    return processes.start(
        "worker-cpu",
        [sys.executable, "-c", code],
        home=home,
        folder=home,
        environment={**OUTER, **environment},
        log=home / "logs" / "x.log",
    )


def test_the_usual_port_is_taken_when_free_and_another_when_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken = stranger.getsockname()[1]
        chosen = choose({"kept": 7}, {"kept": 1, "wanted": taken, "any": None})
    assert chosen["kept"] == 7
    assert chosen["wanted"] != taken
    assert len(set(chosen.values())) == 3


def test_a_stranger_on_a_kept_port_is_named_and_nothing_is_started(settings: Settings, layout: Layout) -> None:
    ports = choose({}, dict.fromkeys(USUAL_PORTS))
    Record(ports=ports).write(layout)
    with (
        socket.create_server(("127.0.0.1", ports["mlflow"])),
        pytest.raises(SiameseError, match=rf"mlflow: port {ports['mlflow']} is taken by pid {os.getpid()}"),
    ):
        up(settings, outer=OUTER)
    assert processes.members(settings.home) == []


def test_a_stranger_that_answers_on_our_port_is_not_our_service(layout: Layout) -> None:
    ours = sleeper(layout.home)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        assert not processes.listens(ours, port)
        me = Identity(pid=os.getpid(), created=psutil.Process().create_time())
        assert processes.listens(me, port)
    down(Settings(home=layout.home))


def test_a_pid_that_passed_to_a_stranger_is_not_the_process(layout: Layout) -> None:
    ours = sleeper(layout.home)
    assert ours.find() is not None
    assert Identity(pid=ours.pid, created=ours.created - 60).find() is None
    Record(services={"worker-cpu": Started(identity=Identity(pid=os.getpid(), created=1.0), settings="")}).write(layout)
    assert down(Settings(home=layout.home)) == 1
    assert ours.find() is None


def test_down_ends_children_in_sessions_of_their_own_and_those_that_ignore_sigterm(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("siamese.stack.stack.GRACE_S", 1.0)
    stubborn = "import signal,time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    parent = f"import subprocess,sys; subprocess.run([sys.executable, '-c', {stubborn!r}], start_new_session=True)"
    log = layout.log("worker-gpu")
    processes.start(
        "worker-gpu", [sys.executable, "-c", parent], home=layout.home, folder=layout.home, environment=OUTER, log=log
    )
    until(log.read_text, "the child's first line")
    assert len(processes.members(layout.home)) == 2
    assert down(Settings(home=layout.home)) == 2
    assert processes.members(layout.home) == []


def test_another_stacks_processes_are_left_alone(layout: Layout, tmp_path: Path) -> None:
    other = Layout(tmp_path / "other")
    other.make()
    theirs = sleeper(other.home)
    assert down(Settings(home=layout.home)) == 0
    assert theirs.find() is not None
    assert down(Settings(home=other.home)) == 1


@given(st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=40))
def test_stack_env_says_the_same_to_dotenv(value: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write_private(Path(folder) / "stack.env", env_text({"A": value, "B": "after"}))
        assert read_stack_environment(Path(folder)) == {"A": value, "B": "after"}


def test_stack_env_says_the_same_to_a_shell(tmp_path: Path) -> None:
    write_private(tmp_path / "stack.env", env_text({"A": "/with space/$HOME/`x`/#1"}))
    said = subprocess.run(["sh", "-c", '. ./stack.env; printf %s "$A"'], cwd=tmp_path, capture_output=True, check=True)
    assert said.stdout.decode() == "/with space/$HOME/`x`/#1"


def test_only_storage_settings_that_differ_from_the_stacks_are_the_users_own(tmp_path: Path) -> None:
    stack = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "K"}
    write_private(tmp_path / "stack.env", env_text(stack))
    assert own_storage(tmp_path, stack) == ()
    assert own_storage(tmp_path, {"AWS_PROFILE": "agency"}) == ("AWS_PROFILE",)
    assert own_storage(tmp_path, stack | {"AWS_ENDPOINT_URL": "https://s3.example"}) == ("AWS_ENDPOINT_URL",)


def test_with_storage_of_ones_own_no_server_is_planned_for_it(settings: Settings) -> None:
    seen = status(settings, outer={**OUTER, "AWS_PROFILE": "agency"})
    assert [service.name for service in seen.services] == ["prefect", "mlflow", "worker-cpu", "worker-gpu", "watchdog"]
    assert seen.storage.source == "your environment (AWS_PROFILE)"


def test_status_without_a_stack_says_so_and_makes_nothing(settings: Settings) -> None:
    seen = status(settings, outer=OUTER)
    assert not seen.works
    assert {service.state for service in seen.services} == {"down"}
    assert not settings.home.exists()


def test_status_after_a_reboot_says_so(settings: Settings, layout: Layout) -> None:
    gone = Started(identity=Identity(pid=os.getpid(), created=1.0), settings="")
    Record(services={"prefect": gone}, booted=1.0).write(layout)
    seen = status(settings, outer=OUTER)
    assert [service.state for service in seen.services if service.name == "prefect"] == ["dead"]
    assert any("the machine was started again" in trouble for trouble in seen.troubles)


def test_a_broken_record_is_an_error_that_down_mends(settings: Settings, layout: Layout) -> None:
    layout.record.write_text('{"ports": ')
    with pytest.raises(SiameseError, match=r"stack\.json: not a stack record"):
        status(settings, outer=OUTER)
    ours = sleeper(layout.home)
    assert down(settings) == 1
    assert ours.find() is None
    assert Record.read(layout).services == {}


def test_a_large_log_is_moved_aside_at_start(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOG_LIMIT_BYTES", 10)
    log = layout.home / "logs" / "x.log"
    log.write_text("a line of before\n")
    sleeper(layout.home)
    down(Settings(home=layout.home))
    assert (log.read_text(), log.with_suffix(".log.1").read_text()) == ("", "a line of before\n")


def test_status_as_json_without_a_stack(tmp_path: Path) -> None:
    command = [Path(sys.executable).with_name("siamese"), "status", "--json"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**OUTER, "SIAMESE_HOME": str(tmp_path / "none")}, capture_output=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["works"] is False


def test_prefect_is_asked_again_while_its_database_is_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    bodies: list[bytes] = []

    class Locked(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(httpx.codes.OK if len(bodies) == 3 else httpx.codes.SERVICE_UNAVAILABLE)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Locked) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with prefect_api({"PREFECT_API_URL": f"http://127.0.0.1:{server.server_port}"}, timeout_s=10) as client:
            assert client.post("/x", json={"a": 1}).status_code == httpx.codes.OK
        server.shutdown()
    assert bodies == [b'{"a":1}'] * 3


def test_status_says_when_flow_runs_cannot_be_read(settings: Settings, layout: Layout) -> None:
    class Locked(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(httpx.codes.OK)

        def do_POST(self) -> None:
            self._answer(httpx.codes.INTERNAL_SERVER_ERROR)

        def _answer(self, code: int) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    here = psutil.Process()
    with ThreadingHTTPServer(("127.0.0.1", 0), Locked) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        prefect = Started(identity=Identity(pid=here.pid, created=here.create_time()), settings="of this test")
        Record(ports={PREFECT: server.server_port}).with_service(PREFECT, prefect).write(layout)
        seen = status(settings, outer=OUTER)
        server.shutdown()
    assert [service.name for service in seen.services if service.state == "works"] == [PREFECT]
    assert (seen.runs, seen.works) == ([], False)
    assert "flow runs could not be read: the server answers 500" in seen.troubles


def test_certificates_are_kept_while_they_are_valid_and_made_anew_when_broken(tmp_path: Path) -> None:
    write_security(tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(made) == {"ca.pem", "storage.pem", "storage.key", "security.toml"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.iterdir())
    write_security(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == made
    (tmp_path / "storage.pem").write_text("broken")
    write_security(tmp_path)
    again = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert again["security.toml"] == made["security.toml"]
    assert all(again[name] != made[name] for name in ("ca.pem", "storage.pem", "storage.key"))


def test_the_stacks_login_is_not_given_to_servers_of_ones_own(tmp_path: Path) -> None:
    stack = {
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
        "MLFLOW_TRACKING_PASSWORD": "secret",
        "PREFECT_API_URL": "http://127.0.0.1:2/api",
        "PREFECT_API_AUTH_STRING": "siamese:secret",
        "PREFECT_HOME": "/stack/prefect",  # where Prefect looks for profiles
    }
    write_private(tmp_path / "stack.env", env_text(stack))

    def seen(**own: str) -> dict[str, str]:
        environment = effective_environment(Settings(home=tmp_path), own)
        return {name: value for name, value in environment.items() if name in stack}

    mlflow, prefect = "https://mlflow.example", "https://prefect.example/api"
    assert seen() == stack
    assert seen(MLFLOW_TRACKING_URI=mlflow) == {
        "MLFLOW_TRACKING_URI": mlflow, **{name: stack[name] for name in stack if name.startswith("PREFECT")}
    }  # fmt: skip
    assert seen(PREFECT_API_URL=prefect) == {
        "PREFECT_API_URL": prefect, **{name: stack[name] for name in stack if name.startswith("MLFLOW")}
    }  # fmt: skip


def test_processes_of_flow_runs_are_known_by_their_environment(layout: Layout) -> None:
    ours = sleeper(layout.home, PREFECT__FLOW_RUN_ID="a-run")
    assert "a-run" in processes_of_runs()
    down(Settings(home=layout.home))
    assert ours.find() is None
    assert "a-run" not in processes_of_runs()


def test_a_new_stack_on_a_full_disk_is_refused_before_anything_is_made(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("siamese.stack.disk.STORAGE_RESERVE", 1)
    with pytest.raises(
        SiameseError, match=r"disk is full: .* GiB are free, and storage takes no data below"
    ) as refused:
        up(settings, outer=OUTER)
    assert "SIAMESE_HOME" in refused.value.fix
    assert not settings.home.exists()


def test_status_tells_of_a_full_disk_only_where_storage_lies_on_it(
    settings: Settings, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("siamese.stack.disk.STORAGE_RESERVE", 1)
    monkeypatch.setattr("siamese.stack.disk.SHORT_BYTES", 0)
    (told,) = status(settings, outer=OUTER).troubles
    assert told.startswith(f"{layout.home}: the disk is full")
    elsewhere = OUTER | {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    (told,) = status(settings, outer=elsewhere).troubles
    assert told.startswith("your own storage: s3://maps")
