"""MLflow behind a login, a proxy, or somebody else's page: a real server behind a real proxy that asks for more."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from builders.published_models import World
from reverse_proxy import Answer, Request, Rule, reverse_proxy

from siamese.errors import SiameseError, TransientError
from siamese.registry import register
from siamese.registry.server import connect, told

SETTINGS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
PAGE = b"<!DOCTYPE html><html><title>Sign in</title></html>"
HTML = {"Content-Type": "text/html; charset=utf-8"}
Behind = Callable[[Rule], AbstractContextManager[str]]


@pytest.fixture
def behind(mlflow_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Behind:
    """Sets this process up for MLflow behind a gateway with a rule and a login of its own, and with no login."""
    inside = basic(f"{os.environ['MLFLOW_TRACKING_USERNAME']}:{os.environ['MLFLOW_TRACKING_PASSWORD']}")
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # MLflow keeps a login in ~/.mlflow/credentials

    @contextmanager
    def stand(rule: Rule) -> Iterator[str]:
        def local(request: Request) -> Answer | None:
            answer = rule(request)
            request.headers["Authorization"] = inside
            return answer

        with reverse_proxy(mlflow_server, local) as address:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
            yield address

    return stand


def asking_for(wanted: str) -> Rule:
    """Every request, health checks too, must carry this header; a proxy's 401 is a text and not MLflow's JSON."""

    def rule(request: Request) -> Answer | None:
        if request.headers.get("Authorization") == wanted:
            return None
        return Answer(401, b"Unauthorized", {"WWW-Authenticate": "Basic"})

    return rule


def basic(login: str) -> str:
    return "Basic " + base64.b64encode(login.encode()).decode()


@pytest.mark.parametrize("kind", ["password", "token", "file"])
def test_the_clients_own_login_is_used_by_every_request(
    kind: str, world: World, behind: Behind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with behind(asking_for("Bearer tea" if kind == "token" else basic("ann:secret"))):
        if kind == "password":
            monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
            monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
        elif kind == "token":
            monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "tea")
        else:
            (tmp_path / ".mlflow").mkdir()
            login = "[mlflow]\nmlflow_tracking_username = ann\nmlflow_tracking_password = secret\n"
            (tmp_path / ".mlflow/credentials").write_text(login)
        version = register(*world.checkpoint(0.6), world.params, world.store)
        assert version.version == 1


@pytest.mark.parametrize(
    ("login", "fix"),
    [
        ({}, "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"),
        ({"USERNAME": "ann", "PASSWORD": "x"}, "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        ({"USERNAME": "ann"}, "set MLFLOW_TRACKING_PASSWORD too"),
        ({"PASSWORD": "secret"}, "set MLFLOW_TRACKING_USERNAME too"),
        ({"TOKEN": "x"}, "check MLFLOW_TRACKING_TOKEN"),
        ({"USERNAME": "ann", "PASSWORD": "x", "TOKEN": "tea"}, "which win over MLFLOW_TRACKING_TOKEN"),
    ],
)
def test_a_refused_login_names_the_setting_to_check(
    login: dict[str, str], fix: str, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    with behind(asking_for(basic("ann:secret"))) as address:
        for name, value in login.items():
            monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
        with pytest.raises(SiameseError) as raised:
            connect()
    assert not isinstance(raised.value, TransientError)
    assert str(raised.value).startswith(f"MLflow {address}: refused the login (401): Unauthorized — ")
    assert fix in str(raised.value)


ANSWERS = {
    "forbidden": (Answer(403, b"not yours"), SiameseError, r"refused the login \(403\): not yours — set MLFLOW_"),
    "foreign host": (
        Answer(403, b"Invalid Host header - possible DNS rebinding attack detected"),
        SiameseError,
        "refused the host name",
    ),
    "no such path": (
        Answer(404, b"not here"),
        SiameseError,
        r"no such API at this address \(404\) — check MLFLOW_TRACKING_URI",
    ),
    "a proxy's 404": (Answer(404, PAGE, HTML), SiameseError, r"a web page answers \(404\) instead of the API"),
    "a login page": (Answer(200, PAGE, HTML), SiameseError, "a web page answers .* if it is a login page: set MLFLOW_"),
    "nothing behind the proxy": (Answer(502, PAGE, HTML), TransientError, "the proxy before it answers 502"),
    "busy": (Answer(503, b'{"message": "later"}'), TransientError, "the server answers 503"),
    "a proxy's login": (Answer(407), SiameseError, "check HTTPS_PROXY"),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_a_proxy_answers_is_told_apart_from_a_server_that_is_away(kind: str, behind: Behind) -> None:
    answer, error, words = ANSWERS[kind]
    with behind(lambda _: answer), pytest.raises(SiameseError, match=words) as raised:
        connect()
    assert type(raised.value) is error
    assert "does not answer" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_redirect_to_a_login_page_names_where_it_leads(behind: Behind, mlflow_server: str) -> None:
    with reverse_proxy(mlflow_server, lambda _: Answer(200, PAGE, HTML)) as login:
        away = Answer(302, b"", {"Location": f"{login}/sign-in?from=mlflow"})
        with behind(lambda _: away), pytest.raises(SiameseError, match=f"a web page of {login}/sign-in answers"):
            connect()


def test_a_redirect_to_another_address_is_not_followed_by_writes(behind: Behind) -> None:
    with behind(lambda _: None) as other:
        away = Answer(301, b"", {"Location": f"{other}/api/2.0/mlflow/registered-models/search?max_results=1"})
        with (
            behind(lambda _: away),
            pytest.raises(SiameseError, match=f"redirects to {other} — set MLFLOW_TRACKING_URI"),
        ):
            connect()


def test_a_login_that_is_refused_in_the_middle_is_told(behind: Behind) -> None:
    refused: list[Answer] = []
    with behind(lambda _: refused[-1] if refused else None):
        client = connect()
        for answer in (Answer(401, b"expired"), Answer(403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}')):
            refused.append(answer)
            with pytest.raises(SiameseError, match="refused the login"), told():
                client.get_registered_model("x")


def test_a_password_in_the_address_is_never_shown(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    with behind(asking_for(basic("ann:secret"))) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address.replace("://", "://ann:hush@"))
        with pytest.raises(SiameseError, match="refused the login") as raised:
            connect()
    assert "hush" not in str(raised.value)
