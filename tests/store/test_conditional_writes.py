"""Storage without conditional writes is noticed before work begins; a real server behind a proxy that drops them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from reverse_proxy import Answer, Request, Rule, reverse_proxy

from siamese.errors import SiameseError
from siamese.ingest import ingest
from siamese.manifests import SceneCatalog
from siamese.params import IngestParams
from siamese.store import ObjectStore, S3Uri, move_pointer
from siamese.store.probe import PROBE

CONDITIONS = ("if-none-match", "if-match")
NOT_IMPLEMENTED = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>NotImplemented</Code><Message>A header you provided implies '
    b"functionality that is not implemented</Message></Error>"
)


def conditional(request: Request) -> bool:
    return request.method == "PUT" and any(name.lower() in CONDITIONS for name in request.headers)


def answers_501(request: Request) -> Answer | None:
    return Answer(501, NOT_IMPLEMENTED, {"Content-Type": "application/xml"}) if conditional(request) else None


def answers_400(request: Request) -> Answer | None:
    body = NOT_IMPLEMENTED.replace(b"NotImplemented", b"InvalidArgument")
    return Answer(400, body, {"Content-Type": "application/xml"}) if conditional(request) else None


def ignores(request: Request) -> Answer | None:
    """Drops the condition and signs again, as a gateway with keys of its own does."""
    if conditional(request):
        kept = {name: value for name, value in request.headers.items() if name.lower() not in CONDITIONS}
        unsigned = {name: value for name, value in kept.items() if name.lower() not in {"authorization", "x-amz-date"}}
        url = f"http://{request.headers['Host']}{request.path}"
        signed = AWSRequest(method="PUT", url=url, data=request.body, headers=unsigned)
        credentials = boto3.session.Session().get_credentials()
        S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(signed)
        request.headers.clear()
        request.headers.update(dict(signed.headers.items()))
    return None


def ignores_if_match(request: Request) -> Answer | None:
    return ignores(request) if any(name.lower() == "if-match" for name in request.headers) else None


@contextmanager
def behind(rule: Rule, store: ObjectStore, monkeypatch: pytest.MonkeyPatch, s3_server: str) -> Iterator[ObjectStore]:
    """The store's buckets through a proxy."""
    with reverse_proxy(s3_server, rule) as endpoint, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        yield ObjectStore(store.settings)


def arrived(store: ObjectStore) -> S3Uri:
    """A prefix that holds something."""
    store.put(store.raw / "in/notes.txt", b"x")
    return store.raw / "in"


LACKING = {
    "501": (answers_501, "a write with If-None-Match is answered with NotImplemented"),
    "400": (answers_400, "a write with If-None-Match is answered with InvalidArgument"),
    "ignored": (ignores, "If-None-Match is ignored, and the object overwritten"),
    "If-Match ignored": (ignores_if_match, "If-Match is ignored, and the object overwritten"),
}


@pytest.mark.parametrize("kind", LACKING)
def test_what_storage_lacks_is_named_before_anything_is_written(
    kind: str, store: ObjectStore, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule, said = LACKING[kind]
    source = arrived(store)
    with behind(rule, store, monkeypatch, s3_server) as poor:
        with pytest.raises(SiameseError) as raised:
            ingest(source, IngestParams(), poor)
        told = str(raised.value)
        assert told.startswith(f"s3://{store.lake.bucket}: storage lacks conditional writes: {said}")
        assert "use an S3 server that has them" in told
        with pytest.raises(SiameseError, match="storage lacks conditional writes"):
            move_pointer(poor, store.lake / "latest/x.json", lambda _: {"digest": "x"})
    assert {found.uri.key for found in store.list(S3Uri(store.lake.bucket))} <= {PROBE}


def test_storage_that_keeps_conditions_is_asked_once(
    store: ObjectStore, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes: list[str] = []

    def watch(request: Request) -> None:
        if PROBE in request.path:
            probes.append(request.method)

    def publish(rich: ObjectStore) -> None:
        for name in ("a", "b"):
            assert SceneCatalog.find(rich, name * 16) is None
            move_pointer(rich, store.lake / f"latest/{name}.json", lambda _: {"digest": "x"})

    with behind(watch, store, monkeypatch, s3_server) as rich:
        publish(rich)
        assert probes == ["PUT"] * 3
        probes.clear()
        publish(ObjectStore(store.settings))
        assert probes == ["PUT"] * 2
        probes.clear()
        publish(rich)
        assert not probes
    assert len([found for found in store.list(S3Uri(store.lake.bucket)) if found.uri.key == PROBE]) == 1


def test_a_reader_needs_no_conditional_writes(
    store: ObjectStore, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = ingest(arrived(store), IngestParams(), store)
    with behind(answers_501, store, monkeypatch, s3_server) as poor:
        assert SceneCatalog.find(poor, catalog.digest) == catalog
        assert SceneCatalog.load(poor, catalog.digest).table.read(poor)


def test_a_login_that_is_refused_is_not_taken_for_lacking_conditions(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(SiameseError, match="the secret key does not belong"):
        ObjectStore(store.settings).put(store.lake / "x", b"x", if_absent=True)
