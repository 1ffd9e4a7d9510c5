"""The promotion ledger: who became champion, when and why, as objects that are only ever added."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from siamese.errors import SiameseError
from siamese.manifests import Scores, Split
from siamese.store import ObjectStore, S3Uri

_READERS = 16


class RegisteredModel(BaseModel):
    """A model version as the ledger names it: enough to find its weights without MLflow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(ge=1)
    checkpoint: str = Field(description="Digest of the Checkpoint.")
    weights_sha256: str


class Comparison(BaseModel):
    """What the gate compared: one frozen split, both models scored on it in the same run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairs: str = Field(description="Digest of the PairSet.")
    split: Split
    candidate: Scores
    candidate_evaluation: str = Field(description="Digest of the Evaluation.")
    champion: Scores | None = Field(description="None when there was no champion.")
    champion_evaluation: str | None
    thresholds: dict[str, Any] = Field(description="The promotion params that were asked for.")


class LedgerEntry(BaseModel):
    """One decision. Entries are numbered from 1 without gaps and never change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sequence: int = Field(ge=1)
    kind: Literal["promote", "reject", "rollback"]
    model: str
    candidate: RegisteredModel = Field(description="Whom the decision is about.")
    champion_before: RegisteredModel | None
    champion_after: RegisteredModel | None
    comparison: Comparison | None = Field(description="None for a rollback.")
    reasons: tuple[str, ...]
    revision: str = Field(description="Git revision of the code that decided.")
    who: str
    created: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Ledger:
    """All entries of one model, first to last."""

    entries: tuple[LedgerEntry, ...]

    @property
    def sequence(self) -> int:
        """Number of the last entry; 0 when there is none."""
        return len(self.entries)

    @property
    def champion(self) -> RegisteredModel | None:
        """Who is champion now."""
        return self.entries[-1].champion_after if self.entries else None

    @property
    def reigns(self) -> tuple[RegisteredModel, ...]:
        """Champions that a rollback can go back through, the present one last.

        A rollback to one of them takes away those above it, so that two rollbacks in a row go back twice instead of
        returning to the model that was just taken down.
        """
        stack: list[RegisteredModel] = []
        for entry in self.entries:
            if entry.kind == "rollback" and entry.candidate in stack:
                del stack[stack.index(entry.candidate) + 1 :]
            elif entry.kind != "reject":
                stack.append(entry.candidate)
        return tuple(stack)

    def crowning(self, model: RegisteredModel) -> LedgerEntry:
        """The entry that last made a model champion."""
        return next(e for e in reversed(self.entries) if e.kind != "reject" and e.candidate == model)


def folder(store: ObjectStore, model: str) -> S3Uri:
    """Where a model's entries lie."""
    return store.lake / "ledger" / model


def read_ledger(store: ObjectStore, model: str) -> Ledger:
    """Reads all entries.

    Raises:
        SiameseError: An entry is missing or is not one.
    """
    where = folder(store, model)
    found = [info.uri for info in store.list(where / "") if info.uri.name.endswith(".json")]
    if found != [_address(store, model, number) for number in range(1, len(found) + 1)]:
        fix = "restore the missing version from the bucket's history; entries are never deleted"
        raise SiameseError("the ledger has a gap or a foreign object", where=str(where), fix=fix)
    with ThreadPoolExecutor(_READERS) as pool:
        return Ledger(tuple(pool.map(lambda uri: _read(store, uri), found)))


def append(store: ObjectStore, entry: LedgerEntry) -> LedgerEntry:
    """Adds an entry.

    Raises:
        RaceLostError: Somebody else has written an entry of this number; read again and decide again.
    """
    address = _address(store, entry.model, entry.sequence)
    data = entry.model_dump_json(indent=1).encode()
    store.put(address, data, if_absent=True, content_type="application/json")
    return entry


def whoami() -> str:
    """Who acts: ``user@host``."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number that no user has
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def same_question(entries: Sequence[LedgerEntry], asked: LedgerEntry) -> LedgerEntry | None:
    """The rejection that already answers what is asked, so that asking twice writes one entry."""
    for entry in reversed(entries):
        if entry.champion_after != asked.champion_before:
            return None
        if entry.kind == "reject" and (entry.candidate, entry.comparison) == (asked.candidate, asked.comparison):
            return entry
    return None


def _address(store: ObjectStore, model: str, sequence: int) -> S3Uri:
    return folder(store, model) / f"{sequence:08d}.json"


def _read(store: ObjectStore, uri: S3Uri) -> LedgerEntry:
    try:
        return LedgerEntry.model_validate_json(store.get(uri))
    except ValidationError as error:
        first = error.errors()[0]
        what = f"not a ledger entry: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise SiameseError(what, where=str(uri), fix="restore its first version from the bucket's history") from error
