"""Manifests: small immutable records of what a stage made, from which inputs, and where the result is stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import AwareDatetime, ConfigDict, Field, ValidationError
from pydantic_core import to_jsonable_python

from siamese.errors import NotPublishedError, SiameseError
from siamese.store.objects import ObjectStore, RaceLostError, file_sha256
from siamese.store.pointer import move_pointer, read_pointer
from siamese.store.provenance import Surroundings, git_revision
from siamese.store.stored import FROM_STORAGE, Stored
from siamese.store.uri import S3Uri

MANIFEST = "manifest.json"
SCHEMA = 2
"""Raised when a reader of the former number could no longer use a manifest; new fields alone do not raise it."""


def upgraded(raw: dict[str, Any], number: int) -> dict[str, Any]:
    """Returns a manifest's JSON upgraded step by step from its own schema number to the current schema.

    What counts in a content stays as it is; a step that added such a field or changed one would move the content.
    """
    for step in _UPGRADES[number - 1 :]:
        raw = step(raw)
    return raw


def _from_1(raw: dict[str, Any]) -> dict[str, Any]:
    """Upgrades schema 1 (before stages were declared), which named inputs by digest and recorded no surroundings."""
    origin = raw.get("origin")
    if isinstance(origin, dict):
        origin = {"sources": origin.get("inputs", {})} | origin
    return {"surroundings": None} | raw | {"schema": 2, "origin": origin}


_UPGRADES = (_from_1,)
_ASIDE = frozenset({"schema_number", "origin", "revision", "surroundings", "created"})
"""Fields that say how any result came about, and are no part of its content."""


class Blob(Stored):
    """An immutable object that a manifest refers to."""

    uri: str
    size: int = Field(ge=0, description="Bytes.")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    def read(self, store: ObjectStore) -> bytes:
        """Reads the bytes and checks them against the sha256.

        Raises:
            SiameseError: The object is missing or differs from what was published.
        """
        data = store.get(S3Uri.parse(self.uri))
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise SiameseError("is not what was published", where=self.uri, fix="restore the version with its sha256")
        return data


class Origin(Stored):
    """Origin of a result: its stage, inputs and params. Its digest is the identity of the work."""

    digest: str = Field(pattern="^[0-9a-f]{16}$")
    stage: str = Field("", description="Name of the stage; empty before stages were declared.")
    version: int = Field(0, ge=0, description="Declared version of the stage; 0 before stages were declared.")
    inputs: dict[str, str] = Field(description="What went in: name to content (before stages: to digest).")
    sources: dict[str, str] = Field({}, description="Digests of the manifests that went in, by name.")
    params: dict[str, Any] = Field(description="The params that differ from their neutral values, by section.")
    code: str = Field(description="Hash of the code that the stage reached. Recorded; no part of the identity.")


class Manifest(Stored):
    """Record of a stage's result, stored under its digest and written once."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)
    kind: ClassVar[str]
    """The noun, which names its folder on the bucket."""
    former: ClassVar[str | None] = None
    """The folder that results of before schema 2 lie in."""

    schema_number: int = Field(SCHEMA, alias="schema", ge=1, description="Of the manifest's format.")
    origin: Origin
    revision: str = Field(default_factory=git_revision, description="Git revision of the code, '+' when changed.")
    surroundings: Surroundings | None = Field(
        default_factory=Surroundings.here, description="What it was made on; None before it was recorded."
    )
    created: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))

    @property
    def digest(self) -> str:
        """Identity of the work: same digest, same work."""
        return self.origin.digest

    @property
    def content(self) -> str:
        """Identity of the result, however it was made; later stages depend on it.

        The same for a manifest and its JSON, whichever later version reads it: only the fields that are set count.
        """
        held = {name: _held(getattr(self, name)) for name in self.model_fields_set - self.described - _ASIDE}
        whole = json.dumps([self.kind, held], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    @classmethod
    def folder(cls, store: ObjectStore, digest: str) -> S3Uri:
        """Returns the folder of a result's objects."""
        return store.lake / cls.kind / digest

    @classmethod
    def find(cls, store: ObjectStore, digest: str) -> Self | None:
        """Returns the manifest published under a digest; None when that work has not been done.

        Raises:
            SiameseError: The work has not been done and should not begin, as storage could not publish its result.
        """
        found = cls._published(store, digest)
        if found is None:
            store.conditional_writes.check(cls.folder(store, digest).bucket)
        return found

    @classmethod
    def _published(cls, store: ObjectStore, digest: str) -> Self | None:
        for uri in cls._places(store, digest):
            if store.head(uri):
                return cls._read(store, uri)
        return None

    @classmethod
    def load(cls, store: ObjectStore, reference: S3Uri | str) -> Self:
        """Reads a manifest by its digest, its address or its folder's address; older schemas are upgraded.

        Raises:
            NotPublishedError: There is no such manifest.
            SiameseError: It is not a manifest of this kind, or only a newer version can read it.
        """
        if isinstance(reference, str) and "/" not in reference:
            found = cls._published(store, reference)
            uri = cls.folder(store, reference) / MANIFEST
        else:
            uri = S3Uri.parse(reference) if isinstance(reference, str) else reference
            uri = uri if uri.key.endswith(".json") else uri / MANIFEST
            found = cls._read(store, uri) if store.head(uri) else None
        if found is None:
            fix = "run the stage that makes it"
            raise NotPublishedError(f"no {cls.kind} has been published", where=str(uri), fix=fix)
        return found

    @classmethod
    def resolve(cls, store: ObjectStore, reference: str) -> Self:
        """Finds a manifest by a reference that a person typed.

        Args:
            store: Holds the manifests.
            reference: ``latest``, a digest, an s3:// address, or a local file written by a verb's ``--out``.

        Raises:
            SiameseError: There is no such manifest.
        """
        if reference == "latest":
            return cls.latest(store)
        path = Path(reference)
        if not reference.startswith("s3://") and path.is_file():
            return cls.load(store, cls.parse(path.read_bytes(), reference).digest)
        return cls.load(store, reference)

    @classmethod
    def parse(cls, data: bytes, where: str) -> Self:
        """Parses a manifest of any schema up to the current one.

        Raises:
            SiameseError: It is not a manifest of this kind, or only a newer version can read it.
        """
        try:
            raw = json.loads(data)
            number = int(raw.get("schema", 1))
        except (ValueError, TypeError, AttributeError) as error:
            raise SiameseError(f"not a {cls.kind} manifest", where=where, fix="pass one that a verb wrote") from error
        if number > SCHEMA:
            what = f"a {cls.kind} of schema {number}; this version reads up to {SCHEMA}"
            raise SiameseError(what, where=where, fix="use the newer version of siamese that wrote it")
        try:
            return cls.model_validate(upgraded(raw, number), context=FROM_STORAGE)
        except ValidationError as error:
            first = error.errors()[0]
            what = f"not a {cls.kind} manifest: {'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise SiameseError(what, where=where, fix="pass one that the right verb wrote") from error

    @classmethod
    def former_ones(cls, store: ObjectStore) -> Iterator[Self]:
        """Yields every result of this kind made before stages were declared."""
        if cls.former:
            for info in store.list(store.lake / cls.former / ""):
                if info.uri.name == MANIFEST:
                    yield cls._read(store, info.uri)

    @classmethod
    def _read(cls, store: ObjectStore, uri: S3Uri) -> Self:
        return cls.parse(store.get(uri), str(uri))

    @classmethod
    def _places(cls, store: ObjectStore, digest: str) -> tuple[S3Uri, ...]:
        new = cls.folder(store, digest) / MANIFEST
        return (new, store.lake / cls.former / digest / MANIFEST) if cls.former else (new,)

    def home(self, store: ObjectStore) -> S3Uri:
        """Returns the folder of this manifest and its objects."""
        if self.former and not self.origin.stage:
            return store.lake / self.former / self.digest
        return self.folder(store, self.digest)

    def uri(self, store: ObjectStore) -> S3Uri:
        """Returns the address of this manifest."""
        return self.home(store) / MANIFEST

    @property
    def series(self) -> str | None:
        """Series of its kind that this manifest belongs to; each has its own latest manifest. Usually None."""
        return None

    @classmethod
    def latest(cls, store: ObjectStore, series: str | None = None) -> Self:
        """Returns the latest manifest of this kind and series.

        Raises:
            NotPublishedError: There is none yet.
        """
        for kind in filter(None, (cls.kind, cls.former)):
            if pointer := read_pointer(store, _latest(store, kind, series)):
                return cls.load(store, str(pointer["digest"]))
        raise NotPublishedError(
            f"no {cls.kind} has been published yet", where=str(store.lake), fix="run that stage first"
        )

    def mark_latest(self, store: ObjectStore) -> None:
        """Makes this the manifest that :meth:`latest` returns."""
        move_pointer(store, _latest(store, self.kind, self.series), lambda _: {"digest": self.digest})

    def blobs(self) -> Iterator[Blob]:
        """Yields every object that this manifest refers to."""
        yield from _blobs_in(self)

    def publish(self, store: ObjectStore) -> Self:
        """Publishes the stage's result once: checks every object it refers to, then writes the manifest if absent.

        Returns:
            The manifest that readers will see: this one, or the one that was published first.

        Raises:
            SiameseError: An object is missing or differs from its entry in the manifest.
        """
        for blob in self.blobs():
            found = store.head(S3Uri.parse(blob.uri))
            if found is None or (found.size, found.sha256) != (blob.size, blob.sha256):
                raise SiameseError("differs from what was written", where=blob.uri, fix="run the stage again")
        try:
            store.put(
                self.uri(store),
                self.model_dump_json(indent=1, exclude_unset=True).encode(),
                if_absent=True,
                content_type="application/json",
            )
        except RaceLostError:
            return type(self).load(store, self.uri(store))
        return self


def _latest(store: ObjectStore, kind: str, series: str | None) -> S3Uri:
    return store.lake / "latest" / (f"{kind}-{series}.json" if series else f"{kind}.json")


def put_blob(store: ObjectStore, folder: S3Uri, name: str, data: bytes, content_type: str | None = None) -> Blob:
    """Writes an immutable object whose name carries its own sha256, so that two writers never conflict.

    Args:
        store: Store to write to.
        folder: The stage's folder.
        name: E.g. ``"index.parquet"``; becomes ``index-<12 digits>.parquet``.
        data: The bytes.
        content_type: Media type; by default that of plain bytes.
    """
    digest = hashlib.sha256(data).hexdigest()
    stem, dot, suffix = name.partition(".")
    uri = folder / f"{stem}-{digest[:12]}{dot}{suffix}"
    found = store.head(uri)
    if found is None or (found.size, found.sha256) != (len(data), digest):
        store.put(uri, data, content_type=content_type or "application/octet-stream")
    return Blob(uri=str(uri), size=len(data), sha256=digest)


def put_file(store: ObjectStore, folder: S3Uri, name: str, path: Path, content_type: str | None = None) -> Blob:
    """Writes a local file of any size in the same way as :func:`put_blob`.

    Args:
        store: Store to write to.
        folder: The stage's folder.
        name: E.g. ``"scenes.parquet"``; becomes ``scenes-<12 digits>.parquet``.
        path: The local file.
        content_type: Media type; by default that of plain bytes.
    """
    digest, size = file_sha256(path), path.stat().st_size
    stem, dot, suffix = name.partition(".")
    uri = folder / f"{stem}-{digest[:12]}{dot}{suffix}"
    found = store.head(uri)
    if found is None or (found.size, found.sha256) != (size, digest):
        store.upload(path, uri, content_type=content_type)
    return Blob(uri=str(uri), size=size, sha256=digest)


def _blobs_in(value: object) -> Iterator[Blob]:
    match value:
        case Blob():
            yield value
        case Stored():
            for name in type(value).model_fields:
                yield from _blobs_in(getattr(value, name))
        case dict():
            for item in value.values():
                yield from _blobs_in(item)
        case tuple() | list():
            for item in value:
                yield from _blobs_in(item)


def _held(value: object) -> object:
    """Returns a field's value as JSON in which an object is identified by its bytes, not by its location."""
    match value:
        case Blob():
            return value.sha256
        case Stored():
            return {name: _held(getattr(value, name)) for name in value.model_fields_set - value.described}
        case dict():
            return {str(name): _held(item) for name, item in value.items()}
        case tuple() | list():
            return [_held(item) for item in value]
        case _:
            return to_jsonable_python(value)
