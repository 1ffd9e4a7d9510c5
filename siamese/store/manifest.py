"""Manifests: small frozen records that say what a stage made, from what, and where it lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from siamese.errors import NotPublishedError, SiameseError
from siamese.params.section import Section
from siamese.store.objects import ObjectStore, RaceLostError, file_sha256
from siamese.store.pointer import move_pointer, read_pointer
from siamese.store.revision import code_version, git_revision
from siamese.store.uri import S3Uri

MANIFEST = "manifest.json"


class Blob(BaseModel):
    """An immutable object that a manifest names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    size: int = Field(ge=0, description="Bytes.")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    def read(self, store: ObjectStore) -> bytes:
        """The bytes, checked against the sha256.

        Raises:
            SiameseError: The object is missing or is not what was published.
        """
        data = store.get(S3Uri.parse(self.uri))
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise SiameseError("is not what was published", where=self.uri, fix="restore the version with its sha256")
        return data


class Origin(BaseModel):
    """What a stage's digest is made of, and where its code came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str = Field(pattern="^[0-9a-f]{16}$")
    inputs: dict[str, str] = Field(description="What went in: name to digest.")
    params: dict[str, Any] = Field(description="The params section that was used.")
    code: str = Field(description="Hash of the code that the stage reaches.")


class Manifest(BaseModel):
    """What a stage made. Its bytes lie under its digest, and are written once."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str]

    origin: Origin
    revision: str = Field(default_factory=git_revision, description="Git revision of the code, '+' when changed.")
    created: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))

    @property
    def digest(self) -> str:
        """The stage's digest: same digest, same work."""
        return self.origin.digest

    @classmethod
    def folder(cls, store: ObjectStore, digest: str) -> S3Uri:
        """Where the stage's objects of this digest lie."""
        return store.lake / cls.kind / digest

    @classmethod
    def plan(cls, *, inputs: Mapping[str, str], params: Mapping[str, Section], module: str) -> Origin:
        """Works out the digest of a stage before it runs.

        Args:
            inputs: Digests (or other identities) of what goes in, by name.
            params: The params sections that the stage takes, by name.
            module: The verb's package, e.g. ``"siamese.pairs"``; the code it reaches is part of the digest.
        """
        values = {name: section.identity() for name, section in params.items()}
        code = code_version(module)
        whole = json.dumps([cls.kind, dict(inputs), values, code], sort_keys=True, allow_nan=False)
        digest = hashlib.sha256(whole.encode()).hexdigest()[:16]
        return Origin(digest=digest, inputs=dict(inputs), params=values, code=code)

    @classmethod
    def find(cls, store: ObjectStore, digest: str) -> Self | None:
        """The manifest published under a digest; None when that work is not done."""
        uri = cls.folder(store, digest) / MANIFEST
        return cls.load(store, uri) if store.head(uri) else None

    @classmethod
    def load(cls, store: ObjectStore, reference: S3Uri | str) -> Self:
        """Reads a manifest by its digest, its address or its folder's address.

        Raises:
            NotPublishedError: There is none.
            SiameseError: It is not a manifest of this kind.
        """
        uri = _resolve(cls, store, reference)
        if store.head(uri) is None:
            raise NotPublishedError(
                f"no {cls.kind} has been published", where=str(uri), fix="run the stage that makes it"
            )
        try:
            return cls.model_validate_json(store.get(uri))
        except ValidationError as error:
            first = error.errors()[0]
            what = f"not a {cls.kind} manifest of this version: {'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise SiameseError(what, where=str(uri), fix="run the stage again with this version") from error

    def uri(self, store: ObjectStore) -> S3Uri:
        """Where this manifest lies."""
        return self.folder(store, self.digest) / MANIFEST

    @classmethod
    def latest(cls, store: ObjectStore) -> Self:
        """The manifest of this kind that was made last.

        Raises:
            NotPublishedError: There is none yet.
        """
        pointer = read_pointer(store, store.lake / "latest" / f"{cls.kind}.json")
        if pointer is None:
            raise NotPublishedError(
                f"no {cls.kind} has been published yet", where=str(store.lake), fix="run that stage first"
            )
        return cls.load(store, str(pointer["digest"]))

    def mark_latest(self, store: ObjectStore) -> None:
        """Makes this the manifest that :meth:`latest` gives."""
        move_pointer(store, store.lake / "latest" / f"{self.kind}.json", lambda _: {"digest": self.digest})

    def blobs(self) -> Iterator[Blob]:
        """Every object that this manifest names."""
        yield from _blobs_in(self)

    def publish(self, store: ObjectStore) -> Self:
        """Makes the stage's work visible, once: checks every object it names, then writes the manifest if absent.

        Returns:
            The manifest that readers will see: this one, or that of whoever was first.

        Raises:
            SiameseError: An object is missing or differs from what the manifest says.
        """
        for blob in self.blobs():
            found = store.head(S3Uri.parse(blob.uri))
            if found is None or (found.size, found.sha256) != (blob.size, blob.sha256):
                raise SiameseError("differs from what was written", where=blob.uri, fix="run the stage again")
        try:
            store.put(
                self.uri(store),
                self.model_dump_json(indent=1).encode(),
                if_absent=True,
                content_type="application/json",
            )
        except RaceLostError:
            return type(self).load(store, self.uri(store))
        return self


def put_blob(store: ObjectStore, folder: S3Uri, name: str, data: bytes, content_type: str | None = None) -> Blob:
    """Writes an immutable object whose name carries its own sha256, so that two writers can never clash.

    Args:
        store: Where to.
        folder: The stage's folder.
        name: E.g. ``"index.parquet"``; becomes ``index-<12 digits>.parquet``.
        data: The bytes.
        content_type: Media type; by default plain bytes.
    """
    digest = hashlib.sha256(data).hexdigest()
    stem, dot, suffix = name.partition(".")
    uri = folder / f"{stem}-{digest[:12]}{dot}{suffix}"
    found = store.head(uri)
    if found is None or (found.size, found.sha256) != (len(data), digest):
        store.put(uri, data, content_type=content_type or "application/octet-stream")
    return Blob(uri=str(uri), size=len(data), sha256=digest)


def put_file(store: ObjectStore, folder: S3Uri, name: str, path: Path) -> Blob:
    """Writes a local file of any size as :func:`put_blob` writes bytes.

    Args:
        store: Where to.
        folder: The stage's folder.
        name: E.g. ``"scenes.parquet"``; becomes ``scenes-<12 digits>.parquet``.
        path: The file.
    """
    digest, size = file_sha256(path), path.stat().st_size
    stem, dot, suffix = name.partition(".")
    uri = folder / f"{stem}-{digest[:12]}{dot}{suffix}"
    found = store.head(uri)
    if found is None or (found.size, found.sha256) != (size, digest):
        store.upload(path, uri)
    return Blob(uri=str(uri), size=size, sha256=digest)


def _resolve(cls: type[Manifest], store: ObjectStore, reference: S3Uri | str) -> S3Uri:
    if isinstance(reference, str) and "/" not in reference:
        return cls.folder(store, reference) / MANIFEST
    uri = S3Uri.parse(reference) if isinstance(reference, str) else reference
    return uri if uri.key.endswith(".json") else uri / MANIFEST


def _blobs_in(value: object) -> Iterator[Blob]:
    match value:
        case Blob():
            yield value
        case BaseModel():
            for name in type(value).model_fields:
                yield from _blobs_in(getattr(value, name))
        case dict():
            for item in value.values():
                yield from _blobs_in(item)
        case tuple() | list():
            for item in value:
                yield from _blobs_in(item)
