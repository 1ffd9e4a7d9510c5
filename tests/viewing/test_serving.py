"""The server of a page: its files and nothing else, for this machine and nobody else."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from builders.made_page import Town
from viewing.browsing import serving

from siamese.errors import SiameseError
from siamese.viewing.serving import Served, serve


@pytest.fixture(scope="module")
def kept() -> list[tuple[bytes, str, str, int]]:
    """What was handed in."""
    return []


@pytest.fixture(scope="module")
def address(town: tuple[Path, Town], kept: list[tuple[bytes, str, str, int]]) -> Iterator[str]:
    """A server that takes labels; such that hold "bad" are refused."""

    def keep(body: bytes, author: str, purpose: str, size: int) -> dict[str, object]:
        if b"bad" in body:
            raise SiameseError("are bad", where="labels", fix="make them good")
        kept.append((body, author, purpose, size))
        return {"set": "0123"}

    (town[0].parent / "secret.json").write_text("secret")
    with serving(town[0], keep) as found:
        yield found


def ask(
    address: str, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Sends a request as it stands, without tidying its path."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    connection.putrequest(method, path, skip_host="host" in headers)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


def test_files_have_ranges_and_a_strict_policy(address: str, town: tuple[Path, Town]) -> None:
    whole = (town[0] / "pre.pmtiles").read_bytes()
    status, headers, body = ask(address, "/pre.pmtiles", range="bytes=100-299")
    assert (status, body) == (206, whole[100:300])
    assert headers["content-range"] == f"bytes 100-299/{len(whole)}"
    assert ask(address, "/pre.pmtiles", range=f"bytes={len(whole)}-")[0] == 416
    for path in ("/", "/app.js", "/nothing", "/session"):
        _, headers, _ = ask(address, path)
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    _, headers, body = ask(address, "/")
    assert headers["content-type"] == "text/html; charset=utf-8"
    # The page carries its policy along to servers that send none.
    found = re.search(rb'http-equiv="Content-Security-Policy" content="([^"]+)"', body)
    assert found
    assert found[1].decode() == "; ".join(one for one in policy.split("; ") if not one.startswith("frame-ancestors"))


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.json",
        "/..%2fsecret.json",
        "/%2e%2e/secret.json",
        "//etc/passwd",
        "/....//secret.json",
        "/pre.pmtiles/../../secret.json",
        "/..\\secret.json",
        "/%00",
        "/.",
    ],
)
def test_nothing_outside_the_page_is_served(address: str, path: str) -> None:
    status, _, body = ask(address, path)
    assert status in (400, 404)
    assert b"secret" not in body
    assert b"root:" not in body


def test_other_names_and_other_sites_are_refused(address: str) -> None:
    port = urlsplit(address).port
    assert ask(address, "/map.json", host="evil.example")[0] == 403
    assert ask(address, "/map.json", host=f"evil.example:{port}")[0] == 403
    assert ask(address, "/map.json", host=f"localhost:{port}")[0] == 200
    assert ask(address, "/session", origin="http://evil.example")[0] == 403
    assert ask(address, "/session", origin="null")[0] == 403
    assert ask(address, "/map.json", "POST", b"")[0] == 405


def test_labels_need_the_pages_token(address: str, kept: list[tuple[bytes, str, str, int]]) -> None:
    import json

    token = json.loads(ask(address, "/session")[2])["token"]
    right = {"x_siamese": token, "content_type": "application/geo+json"}
    assert ask(address, "/labels", "POST", b"{}", content_type="application/geo+json")[0] == 403
    assert ask(address, "/labels", "POST", b"{}", **right | {"x_siamese": "guess"})[0] == 403
    assert ask(address, "/labels", "POST", b"{}", **right | {"content_type": "text/plain"})[0] == 415
    assert ask(address, "/labels", "POST", b"{}", **right, origin="http://evil.example")[0] == 403
    assert not kept
    status, _, body = ask(address, "/labels?author=Ana%20%C3%B1&purpose=assessment&size=30", "POST", b"{}", **right)
    assert (status, json.loads(body)) == (200, {"set": "0123"})
    assert kept == [(b"{}", "Ana ñ", "assessment", 30)]
    status, _, body = ask(address, "/labels", "POST", b"bad", **right)
    assert (status, json.loads(body)["error"]) == (422, "labels: are bad — make them good")


def test_a_taken_port_is_told(town: tuple[Path, Town]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SiameseError, match="is taken"):
            serve(Served(town[0]), port, lambda _: None)
