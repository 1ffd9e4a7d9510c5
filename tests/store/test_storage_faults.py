"""What storage's own errors mean to a person; by hand where a server cannot be made to answer so in a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from reverse_proxy import Answer, Request, reverse_proxy

from siamese.errors import SiameseError, TransientError
from siamese.store import ObjectStore, S3Uri
from siamese.store.faults import translated


@pytest.mark.parametrize("code", ["InternalError", "500", "507", "XMinioStorageFull"])
def test_a_server_that_fails_inside_is_tried_again_and_its_disk_is_to_be_looked_at(code: str) -> None:
    told = translated(ClientError({"Error": {"Code": code, "Message": "no"}}, "PutObject"), S3Uri("lake", "a"))
    assert isinstance(told, TransientError)
    assert "s3://lake/a" in str(told)
    assert "disk of the storage server is full" in str(told)


def test_what_else_fails_asks_to_check_settings_and_network() -> None:
    told = translated(ClientError({"Error": {"Code": "SlowDown", "Message": "no"}}, "PutObject"), S3Uri("lake", "a"))
    assert isinstance(told, TransientError)
    assert "check the AWS settings and the network" in str(told)


def every_call(store: ObjectStore, tmp_path: Path) -> Iterator[str]:
    """What each kind of request tells when it is refused."""
    uri, file = store.lake / "a", tmp_path / "file"
    file.write_bytes(b"x")
    for call in (
        lambda: store.head(uri),
        lambda: store.check_bucket(uri),
        lambda: list(store.list(store.lake)),
        lambda: store.get(uri),
        lambda: store.put(uri, b"x"),
        lambda: store.put(uri, b"x", if_absent=True),
        lambda: store.upload(file, uri),
        lambda: store.download(uri, tmp_path / "copy"),
        lambda: store.erase(uri),
    ):
        with pytest.raises(SiameseError) as raised:
            call()
        assert not isinstance(raised.value, TransientError)
        yield str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "said", "setting"),
    [
        ("AWS_ACCESS_KEY_ID", "somebody", "storage does not know this access key", "AWS_ACCESS_KEY_ID"),
        (
            "AWS_SECRET_ACCESS_KEY",
            "wrong",
            "the secret key does not belong to this access key",
            "AWS_SECRET_ACCESS_KEY",
        ),
        ("AWS_PROFILE", "no-such", "no such AWS profile", "AWS_PROFILE"),
    ],
)
def test_a_wrong_login_is_told_alike_by_every_request(
    name: str, value: str, said: str, setting: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(name, value)
    for told in every_call(ObjectStore(store.settings), tmp_path):
        assert said in told
        assert setting in told.split(" — ")[1]


def test_half_a_login_is_told(store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for told in every_call(ObjectStore(store.settings), tmp_path):
        assert "half of the credentials is missing" in told


CODES = {
    "ExpiredToken": (400, "", "the token has expired", "AWS_SESSION_TOKEN"),
    "TokenRefreshRequired": (400, "", "the token has expired", "AWS_SESSION_TOKEN"),
    "InvalidToken": (400, "", "storage does not accept the session token", "AWS_SESSION_TOKEN"),
    "InvalidAccessKeyId": (403, "", "storage does not know this access key", "AWS_ENDPOINT_URL"),
    "SignatureDoesNotMatch": (403, "", "the secret key does not belong to this access key", "AWS_SECRET_ACCESS_KEY"),
    "RequestTimeTooSkewed": (403, "", "clock differs", "set the clock"),
    "AccessDenied": (403, "", "access is denied to these credentials", "allow them s3:"),
    "AuthorizationHeaderMalformed": (
        400,
        "<Region>eu-central-1</Region>",
        "signed for another region",
        "AWS_DEFAULT_REGION=eu-central-1",
    ),
    "PermanentRedirect": (301, "", "the bucket lies in another region", "AWS_DEFAULT_REGION"),
    "NotImplemented": (501, "", "storage does not support", "use an S3 server that has it"),
}


@pytest.mark.parametrize("code", CODES)
def test_a_code_is_learned_although_head_has_no_body(
    code: str, store: ObjectStore, s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status, more, said, fix = CODES[code]
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>no</Message>{more}</Error>'.encode()

    def refuse(request: Request) -> Answer:
        headers = {"Content-Type": "application/xml"} | ({"x-amz-bucket-region": "eu-west-1"} if status == 301 else {})
        return Answer(status, b"" if request.method == "HEAD" else body, headers)

    with reverse_proxy(s3_server, refuse) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        for told in every_call(ObjectStore(store.settings), tmp_path):
            assert said in told
            assert fix in told.split(" — ")[1]
            assert told.startswith(f"s3://{store.lake.bucket}")
            assert "\n" not in told


@pytest.mark.parametrize("status", [301, 302, 403, 404])
def test_a_web_page_in_the_place_of_storage_is_told(
    status: int, store: ObjectStore, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Answer(status, b"<!doctype html><p>Log in", {"Content-Type": "text/html", "Location": "https://log.in/"})
    with reverse_proxy(s3_server, lambda _: page) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(SiameseError, match=r"not that of an S3 server — check AWS_ENDPOINT_URL"):
            list(ObjectStore(store.settings).list(store.lake))


def test_a_server_that_is_away_may_come_back() -> None:
    told = translated(EndpointConnectionError(endpoint_url="http://127.0.0.1:9"), S3Uri("lake", "a"))
    assert isinstance(told, TransientError)
    assert "does not answer" in str(told)
    assert "check AWS_ENDPOINT_URL" in str(told)
