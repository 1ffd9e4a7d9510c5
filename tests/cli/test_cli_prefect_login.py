"""A Prefect server behind a login: a real one that asks for it, and clients set up in every way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from reverse_proxy import Answer, Request, reverse_proxy

from siamese.stack.ports import choose

AUTH = "ann:secret"
SCRIPT = """
from siamese.cli.follow import run_and_follow
from siamese.errors import SiameseError
try:
    run_and_follow("no/such", {}, print)
except SiameseError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Gives its address, without the API's path."""
    (port,) = choose({}, {"prefect": None}).values()
    home = tmp_path_factory.mktemp("prefect")
    own = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_API_AUTH_STRING": AUTH,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)
        try:
            for _ in range(600):
                assert process.poll() is None, (home / "log").read_text()
                try:
                    if httpx.get(f"{address}/api/health", timeout=5).is_success:
                        break
                except httpx.TransportError:
                    time.sleep(0.2)
            else:
                pytest.fail("the Prefect server did not answer")
            yield address
        finally:
            process.terminate()
            process.wait(30)


def told(environment: dict[str, str], home: Path) -> str:
    """What starting a run says, to a client with these settings and no others."""
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    quiet = {"PREFECT_HOME": str(home), "PREFECT_SERVER_EPHEMERAL_ENABLED": "false"}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=kept | quiet | environment, cwd=home, capture_output=True, text=True,
        timeout=200, check=True,
    )  # fmt: skip
    return ran.stdout.strip()


def profile(home: Path, address: str) -> dict[str, str]:
    home.mkdir()
    lines = (
        f'active = "relief"\n[profiles.relief]\nPREFECT_API_URL = "{address}/api"\nPREFECT_API_AUTH_STRING = "{AUTH}"\n'
    )
    (home / "profiles.toml").write_text(lines)
    return {}


def test_the_clients_own_login_is_used_and_a_refusal_names_the_setting(server: str, tmp_path: Path) -> None:
    page = Answer(502, b"<html>Bad gateway</html>", {"Content-Type": "text/html"})

    def gateway(request: Request) -> Answer | None:
        return page if "deployments" in request.path else None

    with reverse_proxy(server, gateway) as broken:
        url = {"PREFECT_API_URL": f"{server}/api"}
        away = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
        gone = {"PREFECT_API_URL": f"{broken}/api", "PREFECT_CLIENT_MAX_RETRIES": "0", "PREFECT_API_AUTH_STRING": AUTH}
        clients = {
            "environment": url | {"PREFECT_API_AUTH_STRING": AUTH},
            "profile": profile(tmp_path / "profile", server),
            "none": url,
            "wrong": url | {"PREFECT_API_AUTH_STRING": "ann:guess"},
            "key": url | {"PREFECT_API_KEY": "pnu_1"},
            "away": away,
            "gateway": gone,
        }
        with ThreadPoolExecutor(2) as pool:
            said = dict(zip(clients, pool.map(lambda kind: told(clients[kind], tmp_path / kind), clients), strict=True))
    for kind in ("environment", "profile"):
        assert said[kind].startswith("SiameseError no/such: no such deployment"), said
    for kind, fix in (
        ("none", "set PREFECT_API_AUTH_STRING (or PREFECT_API_KEY)"),
        ("wrong", "check PREFECT_API_AUTH_STRING"),
        ("key", "check PREFECT_API_KEY"),
    ):
        assert said[kind].startswith(f"SiameseError Prefect {server}/api: refused the login (401)"), said[kind]
        assert fix in said[kind]
        assert "does not answer" not in said[kind]
    assert said["away"].startswith("TransientError Prefect http://127.0.0.1:9/api: the server does not answer")
    assert said["gateway"].startswith(f"TransientError Prefect {broken}/api: the proxy before it answers 502")
