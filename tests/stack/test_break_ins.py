"""What another user of this machine tries on the stack, as that user, without the owner's secrets: nothing gets in."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from siamese.settings import read_stack_environment
from siamese.stack import processes, up
from siamese.stack.certificates import write_security
from siamese.stack.health import storage_client
from siamese.stack.layout import Layout
from siamese.stack.ports import GRPC_OFFSET, LOOPBACK
from siamese.stack.prefect_api import prefect_api
from siamese.stack.preparation import job_template
from siamese.stack.record import Record

if TYPE_CHECKING:
    from running_stack import RunningStack

NOBODY = 65534
INNER = ("storage-master", "storage-volume", "storage-filer", "storage-admin")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can try things as another user")

ANSWERS = """
import json, os, sys
import httpx
client = httpx.Client(trust_env=False)
try:
    client.get("http://127.0.0.1:9")  # so that all is imported that this user may read and nobody may not
except httpx.HTTPError:
    pass
os.setgroups([]); os.setgid(65534); os.setuid(65534)
answers = []
for method, url, options in json.load(sys.stdin):
    try:
        answers.append(client.request(method, url, **options).status_code)
    except httpx.HTTPError as error:
        answers.append(type(error).__name__)
print(json.dumps(answers))
"""
TLS_ANSWERS = """
import encodings.idna, json, os, socket, ssl, sys
asked = json.load(sys.stdin)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
if asked["certificate"]:
    context.load_cert_chain(*asked["certificate"])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
answers = []
for port in asked["ports"]:
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as plain, context.wrap_socket(plain) as secure:
            secure.sendall(b"GET / HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nConnection: close\\r\\n\\r\\n")
            answers.append(secure.recv(64).decode("latin-1") or "closed")
    except (ssl.SSLError, ConnectionError) as error:
        answers.append("refused: " + str(error))
print(json.dumps(answers))
"""
TOUCH = """
from prefect import flow

@flow
def touch() -> None:
    print("the flow itself")
"""
DEPLOYMENTS = """
name: tried
deployments:
  - {name: tried, entrypoint: "touch.py:touch", work_pool: {name: cpu}}
"""


def as_nobody(code: str, asked: object) -> list[Any]:
    """Runs Python that becomes another user once it has imported what it needs; gives the list that it prints."""
    folder, environment = "/", {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, input=json.dumps(asked), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers


def inner_ports(stack: RunningStack) -> list[int]:
    ports = Record.read(Layout(stack.settings.home)).ports
    return [ports[name] for name in INNER]


def test_private_files_are_read_by_nobody_else(stack: RunningStack) -> None:
    home = stack.settings.home
    secret = [
        home / "login",
        home / "stack.env",
        home / "stack.json",
        home / "aws/credentials",
        home / "tls/storage.key",
    ]
    for path in secret:
        assert path.stat().st_mode & 0o777 == 0o600, path
        done = subprocess.run(["/bin/cat", path], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True)
        assert done.returncode != 0
        assert done.stdout == b""


def test_no_secret_stands_in_a_command_line_or_a_log(stack: RunningStack) -> None:
    known = read_stack_environment(stack.settings.home)
    password = known["MLFLOW_TRACKING_PASSWORD"]
    assert len(password) >= 40
    assert (stack.settings.home / "login").read_text() == known["PREFECT_API_AUTH_STRING"] + "\n"
    for member in processes.members(stack.settings.home):
        assert password not in " ".join(member.process.cmdline())
    for log in (stack.settings.home / "logs").iterdir():
        assert password not in log.read_text(errors="replace")


def test_prefect_and_mlflow_answer_nobody_without_the_login(stack: RunningStack) -> None:
    prefect, mlflow = stack.environment["PREFECT_API_URL"], stack.environment["MLFLOW_TRACKING_URI"]
    wrong: dict[str, Any] = {"json": {}, "headers": {"Authorization": "Basic c2lhbWVzZTp3cm9uZw=="}}
    asked = [
        ("POST", f"{prefect}/{path}", options)
        for path in ("flows/filter", "deployments/filter", "flow_runs/", "work_pools/filter", "events", "variables/")
        for options in ({"json": {}}, wrong)
    ]
    asked += [
        (method, f"{mlflow}{path}", options)
        for method, path in (
            ("GET", "/"),
            ("GET", "/version"),
            ("GET", "/health/../api/2.0/mlflow/experiments/search"),
            ("GET", "/get-artifact?path=a&run_uuid=b"),
            ("POST", "/api/2.0/mlflow/experiments/search"),
            ("POST", "/ajax-api/2.0/mlflow/experiments/search"),
            ("POST", "/graphql"),
        )
        for options in (({"json": {}}, wrong) if method == "POST" else ({},))
    ]
    answers = as_nobody(ANSWERS, asked)
    assert set(answers) == {401}, dict(zip((url for _, url, _ in asked), answers, strict=True))
    login = stack.environment["PREFECT_API_AUTH_STRING"].split(":")
    with httpx.Client(auth=(login[0], login[1])) as owner:
        assert owner.post(f"{prefect}/flows/filter", json={}).status_code == httpx.codes.OK
        assert owner.get(f"{mlflow}/").status_code == httpx.codes.OK


def test_a_foreign_host_is_refused_even_with_the_login(stack: RunningStack) -> None:
    prefect, mlflow = stack.environment["PREFECT_API_URL"], stack.environment["MLFLOW_TRACKING_URI"]
    login = stack.environment["PREFECT_API_AUTH_STRING"].split(":")
    with httpx.Client(auth=(login[0], login[1])) as owner:
        for url in (f"{prefect}/health", f"{prefect}/version", prefect.removesuffix("/api"), f"{mlflow}/version"):
            port = httpx.URL(url).port
            for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", ""):
                answer = owner.get(url, headers={"Host": host})
                assert answer.status_code == httpx.codes.BAD_REQUEST, (url, host)
            for host in (f"localhost:{port}", f"127.0.0.1:{port}"):
                assert owner.get(url, headers={"Host": host}, follow_redirects=True).is_success, (url, host)


def test_events_are_not_told_to_a_foreign_host_or_without_the_login(stack: RunningStack) -> None:
    from websockets.exceptions import ConnectionClosed, InvalidHandshake
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    url = stack.environment["PREFECT_API_URL"].replace("http", "ws") + "/events/out"
    port = httpx.URL(url).port
    foreign = url.replace("127.0.0.1", "evil.example")
    with (
        socket.create_connection((LOOPBACK, port or 0)) as connection,
        pytest.raises(InvalidHandshake, match="403"),
    ):
        connect(foreign, sock=connection, subprotocols=[Subprotocol("prefect")])
    with connect(url, subprotocols=[Subprotocol("prefect")]) as events:
        events.send(json.dumps({"type": "auth", "token": "siamese:wrong"}))
        with pytest.raises(ConnectionClosed):
            events.recv(timeout=10)


def test_the_storage_servers_inner_ports_answer_nobody_without_the_key(stack: RunningStack, tmp_path: Path) -> None:
    client = storage_client(stack.environment)
    client.put_object(Bucket="lake", Key="break-in/secret.txt", Body=b"secret")
    ports = inner_ports(stack)
    filer = ports[INNER.index("storage-filer")]
    paths = [
        f"{port}/{path}" for port in ports for path in ("", "dir/assign", "dir/status", "status", "cluster/status")
    ]
    paths += [f"{filer}/buckets/", f"{filer}/buckets/lake/break-in/secret.txt"]
    asked: list[Any] = [("GET", f"http://{LOOPBACK}:{path}", {}) for path in paths]
    asked += [
        ("PUT", f"http://{LOOPBACK}:{filer}/buckets/lake/break-in/new.txt", {"content": "x"}),
        ("DELETE", f"http://{LOOPBACK}:{filer}/buckets/lake/break-in/secret.txt", {}),
        ("DELETE", f"http://{LOOPBACK}:{filer}/buckets?recursive=true", {}),
    ]
    answers = as_nobody(ANSWERS, asked)
    refusals = {400, "RemoteProtocolError", "ReadError", "WriteError"}
    assert set(answers) <= refusals, dict(zip((url for _, url, _ in asked), answers, strict=True))

    every = [*ports, *(port + GRPC_OFFSET for port in ports)]
    every.append(Record.read(Layout(stack.settings.home)).ports["storage"] + GRPC_OFFSET)
    write_security(tmp_path)
    theirs = [str(tmp_path / name) for name in ("storage.pem", "storage.key")]
    for certificate in (None, theirs):
        answers = as_nobody(TLS_ANSWERS, {"ports": every, "certificate": certificate})
        assert all(answer.startswith("refused: ") for answer in answers), dict(zip(every, answers, strict=True))

    ours = Layout(stack.settings.home).tls
    context = ssl.create_default_context(cafile=str(ours / "ca.pem"))
    context.load_cert_chain(ours / "storage.pem", ours / "storage.key")
    with httpx.Client(verify=context) as owner:
        listed = owner.get(f"https://{LOOPBACK}:{filer}/buckets/lake/break-in/", headers={"Accept": "application/json"})
    assert "secret.txt" in listed.text
    assert client.get_object(Bucket="lake", Key="break-in/secret.txt")["Body"].read() == b"secret"
    assert client.list_objects_v2(Bucket="lake", Prefix="break-in/")["KeyCount"] == 1


def test_the_storage_servers_own_tools_do_nothing_for_another_user(stack: RunningStack) -> None:
    client = storage_client(stack.environment)
    client.put_object(Bucket="lake", Key="tools/secret.txt", Body=b"secret")
    ports = Record.read(Layout(stack.settings.home)).ports
    weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    assert weed
    servers = [f"-master={LOOPBACK}:{ports['storage-master']}", f"-filer={LOOPBACK}:{ports['storage-filer']}"]

    def shell(commands: str, *options: str, user: int, at_most_s: int) -> str:
        try:
            done = subprocess.run(
                ["timeout", str(at_most_s), weed, *options, "shell", *servers], input=commands, user=user, group=user,
                extra_groups=[], cwd="/", env={"HOME": "/nonexistent"}, capture_output=True, text=True, check=False,
            )  # fmt: skip
        except PermissionError:
            pytest.skip("another user cannot run weed here")
        return done.stdout

    ours = f"-config_dir={Layout(stack.settings.home).tls}"
    assert "secret.txt" in shell("fs.ls /buckets/lake/tools\n", ours, user=0, at_most_s=120)
    said = shell("fs.ls /buckets/lake/tools\nfs.rm /buckets/lake/tools/secret.txt\n", user=NOBODY, at_most_s=20)
    assert "secret.txt" not in said
    assert client.get_object(Bucket="lake", Key="tools/secret.txt")["Body"].read() == b"secret"


def test_sockets_of_the_storage_server_are_not_another_users_to_open(stack: RunningStack) -> None:
    held = {
        connection.laddr
        for member in processes.members(stack.settings.home)
        if member.service == "storage"
        for connection in member.process.net_connections("unix")
        if connection.laddr
    }
    folder = stack.settings.home / "data" / "storage"
    assert {path.name for path in folder.glob("*.sock")} == {"filer.sock", "s3.sock"}
    assert held
    code = """
import json, os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
answers = []
for path in json.load(sys.stdin):
    try:
        socket.socket(socket.AF_UNIX).connect(path)
        answers.append(path)
    except OSError:
        pass
print(json.dumps(answers))
"""
    assert as_nobody(code, sorted(held | {str(folder / "filer.sock"), str(folder / "s3.sock")})) == []


def test_a_run_cannot_name_a_command_folder_or_environment(
    stack: RunningStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = tmp_path_factory.mktemp("broken into")
    (project / "touch.py").write_text(TOUCH)
    (project / "prefect.yaml").write_text(DEPLOYMENTS)
    outer = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    up(stack.settings, root=project, outer=outer, deploying=True)
    mark = project / "mark"
    wanted: dict[str, Any] = {
        "command": f"touch {mark}",
        "env": {"PYTHONSTARTUP": "/tmp/x.py", "PATH": "/tmp"},  # noqa: S108
        "working_dir": "/tmp",  # noqa: S108
    }
    with prefect_api(stack.environment, timeout_s=60) as client:
        deployment = client.get("/deployments/name/touch/tried").raise_for_status().json()["id"]
        for name, value in wanted.items():
            made = client.post(f"/deployments/{deployment}/create_flow_run", json={"job_variables": {name: value}})
            assert made.status_code == httpx.codes.UNPROCESSABLE_ENTITY, made.text

        later = {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": "2999-01-01T00:00:00Z"}}}
        made = client.post(f"/deployments/{deployment}/create_flow_run", json=later)
        run = made.raise_for_status().json()["id"]
        changed = client.patch(f"/flow_runs/{run}", json={"job_variables": wanted})
        assert changed.status_code == httpx.codes.UNPROCESSABLE_ENTITY, changed.text
        # Those of a deployment the server lets pass; then the worker does not heed them.
        client.patch(f"/deployments/{deployment}", json={"job_variables": wanted}).raise_for_status()
        assert client.get(f"/deployments/{deployment}").json()["job_variables"] == wanted
        now = {"state": {"type": "SCHEDULED"}, "force": True}
        client.post(f"/flow_runs/{run}/set_state", json=now).raise_for_status()
        state = ""
        for _ in range(900):
            state = client.get(f"/flow_runs/{run}").json()["state"]["type"]
            if state in {"COMPLETED", "FAILED", "CRASHED"}:
                break
            time.sleep(0.1)
    assert state == "COMPLETED"
    assert not mark.exists()


def test_nothing_that_a_run_names_reaches_the_process_that_runs_it() -> None:
    assert "{{" not in json.dumps(job_template()["job_configuration"])
    assert "env" not in job_template()["job_configuration"], "Prefect merges a run's variables into one that is there"
