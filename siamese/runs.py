"""Specification of a flow run, fixed at its start (params, stage versions, code revision), and its outcomes."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from siamese.errors import NotPublishedError, SiameseError
from siamese.params import PARAMS_FILE, Params, parse_params, read_params_file
from siamese.store import Blob, ObjectStore, RaceLostError, S3Uri, move_pointer, put_blob, read_pointer
from siamese.store.provenance import git_revision

_SPECIFICATION = "specification.json"
_SAME_CODE = "install the same version of siamese on this worker as where the run was started"


class RunSpecification(BaseModel):
    """Everything that determines a run's results for given inputs; published before the run does any work."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    params: Params
    stages: dict[str, int] = Field(description="Version of every stage, by its name, in the code that began the run.")
    revision: str = Field(description="Git revision of that code.")


def publish_run(params: Params, store: ObjectStore) -> str:
    """Publishes the specification of a run with these params and this code.

    Returns:
        Its digest, a hash of its content: equal params and code give the same digest.
    """
    from siamese.stages import declared_versions

    specification = RunSpecification(params=params, stages=declared_versions(), revision=git_revision())
    data = json.dumps(specification.model_dump(mode="json"), sort_keys=True, indent=1).encode()
    digest = _digest(data)
    _put_once(_folder(store, digest) / _SPECIFICATION, data, store)
    return digest


def load_run(digest: str, store: ObjectStore) -> RunSpecification:
    """Reads the specification of the run that this process works on.

    Raises:
        NotPublishedError: There is no such specification.
        SiameseError: It differs from what was published, or this process's code has other versions of the stages.
    """
    uri = _folder(store, digest) / _SPECIFICATION
    if store.head(uri) is None:
        raise NotPublishedError("no such run specification", where=str(uri), fix="start the flow without `run`")
    data = store.get(uri)
    if _digest(data) != digest:
        raise SiameseError("is not what was published", where=str(uri), fix="restore its first version")
    content = json.loads(data)
    _check_versions(content["stages"], str(content["revision"]))
    try:
        return RunSpecification.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"the params of the run do not fit this code: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise SiameseError(what, where=_worker(), fix=_SAME_CODE) from error


def _check_versions(stages: Mapping[str, int], revision: str) -> None:
    from siamese.stages import declared_versions  # imports torch, which publishing params does not need

    own = declared_versions()
    for stage in sorted({*stages, *own}):
        if stages.get(stage) != own.get(stage):
            here, there = (str(versions.get(stage, "unknown")) for versions in (own, stages))
            what = f"stage {stage} has version {here} here, but version {there} in the run (code {revision[:12]})"
            raise SiameseError(what, where=_worker(), fix=_SAME_CODE)


def work_key(run: str, work: Mapping[str, str | None]) -> str:
    """Returns the identity of a piece of a run's work, e.g. training on a pair set: 16 hexadecimal digits."""
    return _digest(json.dumps([run, dict(work)], sort_keys=True).encode())


def publish_outcome(run: str, work: Mapping[str, str | None], digest: str, store: ObjectStore) -> str:
    """Records the digest of the result of a piece of work, so that other workers of the run can read it.

    Returns:
        The digest that counts: this one, or that of the first worker to finish the same work.
    """
    uri = _outcome(run, work, store)
    _put_once(uri, json.dumps({"work": dict(work), "digest": digest}).encode(), store)
    return str(json.loads(store.get(uri))["digest"])


def find_outcome(run: str, work: Mapping[str, str | None], store: ObjectStore) -> str | None:
    """Returns the digest of the result of a piece of work; None until it is done."""
    uri = _outcome(run, work, store)
    return str(json.loads(store.get(uri))["digest"]) if store.head(uri) else None


class PublishedParams(BaseModel):
    """A published params file, which every flow uses wherever its worker runs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    file: Blob
    revision: str = Field(description="Git revision of the checkout that it was published from.")
    published: datetime

    def __str__(self) -> str:
        return (
            f"params {self.file.sha256[:12]}, published {self.published:%Y-%m-%d %H:%M} UTC from {self.revision[:12]}"
        )


def publish_params(path: Path, store: ObjectStore, *, unless_published: bool = False) -> PublishedParams:
    """Publishes a params file for flows to use from now on; runs that have begun keep theirs.

    Args:
        path: The file; it is validated first.
        store: Store to publish to.
        unless_published: Leave params that are already published unchanged.

    Returns:
        The params that are published now. Publishing the same file again changes nothing.

    Raises:
        SiameseError: The file cannot be read or holds a wrong key or value.
    """
    data = read_params_file(path)
    parse_params(data, str(path))
    file = put_blob(store, store.lake / "params", "params.yaml", data, "text/plain")
    wanted = PublishedParams(file=file, revision=git_revision(), published=datetime.now(UTC))

    def change(old: dict[str, Any] | None) -> dict[str, Any] | None:
        same = old is not None and (unless_published or PublishedParams.model_validate(old).file == file)
        return None if same else wanted.model_dump(mode="json")

    return PublishedParams.model_validate(move_pointer(store, _pointer(store), change))


def published_params(store: ObjectStore) -> PublishedParams | None:
    """Returns the params that flows use; None until some are published."""
    found = read_pointer(store, _pointer(store))
    return PublishedParams.model_validate(found) if found else None


def resolve_params(store: ObjectStore, overrides: Mapping[str, Any], file: Path = PARAMS_FILE) -> tuple[Params, str]:
    """Resolves the params of a new run: published ones, else those of a local file, with the run's overrides.

    Returns:
        The params, and a phrase that names their source.

    Raises:
        SiameseError: The published file has been altered since, or a key or value is invalid.
    """
    changes: Iterable[str] = [f"{key}={json.dumps(value)}" for key, value in overrides.items()]
    if found := published_params(store):
        return parse_params(found.file.read(store), found.file.uri, changes), str(found)
    source = f"{file.resolve()}, as no params have been published"
    return parse_params(read_params_file(file), str(file), changes), source


def _pointer(store: ObjectStore) -> S3Uri:
    return store.lake / "latest" / "params.json"


def _folder(store: ObjectStore, digest: str) -> S3Uri:
    return store.lake / "runs" / digest


def _outcome(run: str, work: Mapping[str, str | None], store: ObjectStore) -> S3Uri:
    return _folder(store, run) / f"outcome-{work_key(run, work)}.json"


def _put_once(uri: S3Uri, data: bytes, store: ObjectStore) -> None:
    if store.head(uri) is None:
        with suppress(RaceLostError):
            store.put(uri, data, if_absent=True, content_type="application/json")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _worker() -> str:
    return f"worker on {platform.node()}"
