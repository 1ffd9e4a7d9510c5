"""The promotion ledger: which version became champion, when and why, stored as append-only objects."""

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
from siamese.manifests import Scores, SimilarityScores, Split
from siamese.store import ObjectStore, S3Uri

_READERS = 16
_CROWNING = ("promote", "rollback")
_READABLE = ConfigDict(frozen=True, extra="ignore")
"""Entries are read for ever, also by code that is older than they are."""


class RegisteredModel(BaseModel):
    """A model version as recorded in the ledger, with enough to find its weights without MLflow."""

    model_config = _READABLE

    version: int = Field(ge=1)
    checkpoint: str = Field(description="Digest of the Checkpoint or SimilarityModel.")
    weights_sha256: str


class Comparison(BaseModel):
    """The gate's comparison: both models scored in the same run on one frozen split."""

    model_config = _READABLE

    pairs: str = Field(description="Digest of the PairSet or ItemSet.")
    split: Split
    candidate: Scores | SimilarityScores
    candidate_evaluation: str = Field(description="Digest of the Evaluation.")
    champion: Scores | SimilarityScores | None = Field(description="None when there was no champion.")
    champion_evaluation: str | None
    thresholds: dict[str, Any] = Field(description="The promotion params that were asked for.")


class LedgerEntry(BaseModel):
    """One decision. Entries are numbered from 1 without gaps and never change."""

    model_config = _READABLE

    sequence: int = Field(ge=1)
    kind: Literal["promote", "reject", "rollback", "lift"]
    model: str
    candidate: RegisteredModel = Field(description="The version that the decision is about.")
    champion_before: RegisteredModel | None
    champion_after: RegisteredModel | None
    comparison: Comparison | None = Field(
        description="None where nothing was scored: a rollback, a lifted ban, a banned candidate."
    )
    reasons: tuple[str, ...]
    revision: str = Field(description="Git revision of the code that decided.")
    who: str
    created: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Ban:
    """A version that must not become champion, and the rollback that demoted it."""

    model: RegisteredModel
    entry: LedgerEntry

    def forbids(self, model: RegisteredModel) -> bool:
        """Returns whether a version is the banned one, or the same network under another number."""
        mine, other = self.model, model
        return (
            other.version == mine.version
            or other.checkpoint == mine.checkpoint
            or other.weights_sha256 == mine.weights_sha256
        )

    def __str__(self) -> str:
        taken_down = f"version {self.model.version} is banned: entry {self.entry.sequence} took it down"
        return f"{taken_down} on {self.entry.created:%Y-%m-%d}, by {self.entry.who}"


@dataclass(frozen=True)
class Ledger:
    """All entries of one model, oldest first, and the state that follows from them."""

    entries: tuple[LedgerEntry, ...]

    @property
    def sequence(self) -> int:
        """Number of the last entry; 0 when there is none."""
        return len(self.entries)

    @property
    def champion(self) -> RegisteredModel | None:
        """The current champion, if there is one."""
        return self.entries[-1].champion_after if self.entries else None

    @property
    def reigns(self) -> tuple[RegisteredModel, ...]:
        """Stack of champions that a rollback can return to, the current one last.

        A rollback to one of them removes those after it, so that two rollbacks in a row go back two steps instead of
        returning to the model that was just demoted.
        """
        return self._follow()[0]

    @property
    def bans(self) -> tuple[Ban, ...]:
        """The bans in force, oldest first.

        A rollback bans every version that it demotes, until a person lifts the ban. In ledgers written before 0.2.0,
        which had no bans, a version that became champion again after a rollback does not count as banned.
        """
        return tuple(self._follow()[1].values())

    def ban_on(self, model: RegisteredModel) -> Ban | None:
        """Returns the ban on a version, or on its network under another number; None if there is none."""
        return next((ban for ban in self.bans if ban.forbids(model)), None)

    def crowning(self, model: RegisteredModel) -> LedgerEntry:
        """Returns the latest entry that made a model champion."""
        return next(e for e in reversed(self.entries) if e.kind in _CROWNING and e.candidate == model)

    def _follow(self) -> tuple[tuple[RegisteredModel, ...], dict[RegisteredModel, Ban]]:
        reigns: list[RegisteredModel] = []
        bans: dict[RegisteredModel, Ban] = {}
        for entry in self.entries:
            if entry.kind == "rollback" and entry.candidate in reigns:
                kept = reigns.index(entry.candidate) + 1
                bans |= {model: Ban(model, entry) for model in reigns[kept:]}
                del reigns[kept:]
            elif entry.kind in _CROWNING:
                reigns.append(entry.candidate)
            if entry.kind in (*_CROWNING, "lift"):
                bans.pop(entry.candidate, None)
        return tuple(reigns), bans


def folder(store: ObjectStore, model: str) -> S3Uri:
    """Returns the folder of a model's entries."""
    return store.lake / "ledger" / model


def read_ledger(store: ObjectStore, model: str) -> Ledger:
    """Reads all entries of a model.

    Raises:
        SiameseError: An entry is missing or invalid.
    """
    where = folder(store, model)
    found = [info.uri for info in store.list(where / "") if info.uri.name.endswith(".json")]
    if found != [_address(store, model, number) for number in range(1, len(found) + 1)]:
        fix = "restore the missing version from the bucket's history; entries are never deleted"
        raise SiameseError("the ledger has a gap or a foreign object", where=str(where), fix=fix)
    with ThreadPoolExecutor(_READERS) as pool:
        return Ledger(tuple(pool.map(lambda uri: _read(store, uri), found)))


def champions(store: ObjectStore) -> dict[str, RegisteredModel]:
    """Returns the champion of every model that has one, by the model's name; reads only the last entry of each.

    Raises:
        SiameseError: An entry is invalid.
    """
    found = (info.uri for info in store.list(store.lake / "ledger" / "") if info.uri.name.endswith(".json"))
    last = {uri.key.rpartition("/")[0]: uri for uri in found}
    entries = (_read(store, uri) for uri in last.values())
    return {entry.model: entry.champion_after for entry in entries if entry.champion_after}


def append(store: ObjectStore, entry: LedgerEntry) -> LedgerEntry:
    """Appends an entry to the ledger.

    Raises:
        RaceLostError: Another process has written an entry with this number; read and decide again.
    """
    address = _address(store, entry.model, entry.sequence)
    data = entry.model_dump_json(indent=1).encode()
    store.put(address, data, if_absent=True, content_type="application/json")
    return entry


def whoami() -> str:
    """Returns the acting person or service as ``user@host``."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run under a user id without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def same_question(entries: Sequence[LedgerEntry], asked: LedgerEntry) -> LedgerEntry | None:
    """Returns the rejection that already answers this request, so that a repeated request writes no second entry."""
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
