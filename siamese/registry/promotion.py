"""The verbs ``promote``, ``rollback``, ``lift`` and ``history``: decide which version is champion, and record why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, ModelVersion, PairSet
from siamese.params import EvaluationParams, PromotionParams
from siamese.registry.aliases import project_aliases
from siamese.registry.contest import Contest, DamageContest
from siamese.registry.ledger import (
    Ban,
    Ledger,
    LedgerEntry,
    RegisteredModel,
    append,
    read_ledger,
    same_question,
    whoami,
)
from siamese.registry.weights import T, verify_weights
from siamese.store import ObjectStore, RaceLostError
from siamese.store.provenance import git_revision

_TRIES = 20


class Ruling(BaseModel):
    """The outcome of ``promote``, ``rollback`` or ``lift``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entry: LedgerEntry = Field(description="The ledger's entry that records it.")
    new: bool = Field(description="Whether this call wrote the entry; false when it was decided already.")

    @property
    def champion(self) -> int | None:
        """The version that is champion after this entry."""
        return self.entry.champion_after.version if self.entry.champion_after else None


def promote(
    candidate: ModelVersion,
    pairs: PairSet,
    params: PromotionParams,
    evaluation_params: EvaluationParams,
    store: ObjectStore,
) -> Ruling:
    """Passes a candidate through the gate against the champion.

    Both are scored on the same frozen split in the same run; published scores of their digest are reused. The
    decision becomes an entry of the ledger; of two concurrent promotions, the one whose entry comes second decides
    again, against the outcome of the first. The reasons also state when either model was trained on scenes that it is
    scored on. A banned candidate is rejected without being scored.

    Args:
        candidate: A registered version.
        pairs: Pair set whose split both are scored on.
        params: Minimum gain and floors.
        evaluation_params: Choice of the split.
        store: Holds ledger and manifests.

    Returns:
        The decision. No entry is written if the candidate is already champion or was rejected on the very same figures.

    Raises:
        SiameseError: Weights do not match their registered sha256, or the candidate belongs to another model.
        TransientError: MLflow does not answer.
    """
    return decide(candidate, DamageContest(pairs, params, evaluation_params, store), store)


def decide(candidate: ModelVersion, contest: Contest[T], store: ObjectStore) -> Ruling:
    """Passes a candidate through the gate of a contest; see :func:`promote`, which holds that of damage networks.

    Raises:
        SiameseError: Weights do not match their registered sha256, or the candidate belongs to another model.
        TransientError: MLflow does not answer.
    """
    model = contest.model
    if candidate.name != model:
        fix = "name that model in the params, or register the network under this one's name"
        raise SiameseError(f"is a version of {candidate.name}, not of {model}", where=candidate.digest, fix=fix)
    project_aliases(store, model)
    named = _named(candidate)
    for _ in range(_TRIES):
        ledger = read_ledger(store, model)
        verified = verify_weights(contest.load(named.checkpoint), candidate.weights_sha256, store)
        if ledger.champion == named:
            return Ruling(entry=ledger.crowning(named), new=False)
        if ban := ledger.ban_on(named):
            entry = _refuse(named, ban, ledger, model)
        else:
            entry = _weigh(verified, named, ledger, contest, store)
        if answered := same_question(ledger.entries, entry):
            return Ruling(entry=answered, new=False)
        if decision := _record(entry, store):
            return decision
    raise _busy(model)


def rollback(to: int | None, params: PromotionParams, store: ObjectStore) -> Ruling:
    """Reinstates a former champion and bans the versions that it demotes, as a new entry of the ledger.

    Args:
        to: Version to go back to; None for the champion before the current one.
        params: Holds the name of the model.
        store: Holds ledger and manifests.

    Raises:
        SiameseError: There is no version to go back to, that version was never champion or is banned, or its weights do
            not match.
        TransientError: MLflow does not answer.
    """
    return go_back(to, params.model, lambda digest: Checkpoint.load(store, digest), store)


def go_back(to: int | None, model: str, load: Callable[[str], T], store: ObjectStore) -> Ruling:
    """Reinstates a former champion of any kind; see :func:`rollback`.

    Args:
        to: Version to go back to; None for the champion before the current one.
        model: Name of the model.
        load: Reads the manifest of a network by its digest.
        store: Holds ledger and manifests.
    """
    project_aliases(store, model)
    for _ in range(_TRIES):
        ledger = read_ledger(store, model)
        target = _target(ledger, to, model)
        if ledger.champion == target:
            return Ruling(entry=ledger.crowning(target), new=False)
        verify_weights(load(target.checkpoint), target.weights_sha256, store)
        entry = _without_scores("rollback", target, target, _went_back(ledger, target), ledger, model)
        if decision := _record(entry, store):
            return decision
    raise _busy(model)


def lift(version: int, reason: str, params: PromotionParams, store: ObjectStore) -> Ruling:
    """Lifts the ban on a version, as a new entry of the ledger; the gate may then promote it again.

    Args:
        version: The banned version.
        reason: Why it may become champion again; recorded with the name of the caller.
        params: Holds the name of the model.
        store: Holds the ledger.

    Raises:
        SiameseError: The version is not banned, or no reason is given.
        TransientError: MLflow does not answer.
    """
    reason = " ".join(reason.split())
    if not reason:
        raise SiameseError("a ban is lifted for a reason", where=f"version {version}", fix="give --reason TEXT")
    project_aliases(store, params.model)
    for _ in range(_TRIES):
        ledger = read_ledger(store, params.model)
        banned = {ban.model.version: ban.model for ban in ledger.bans}
        if version not in banned:
            fix = "`siamese history` lists the bans in force"
            raise SiameseError(f"version {version} is not banned", where=params.model, fix=fix)
        reasons = [f"the ban on version {version} is lifted: {reason}"]
        entry = _without_scores("lift", banned[version], ledger.champion, reasons, ledger, params.model)
        if decision := _record(entry, store):
            return decision
    raise _busy(params.model)


def history(params: PromotionParams, store: ObjectStore) -> tuple[LedgerEntry, ...]:
    """Returns all decisions about a model, oldest first; needs only the bucket, not MLflow."""
    return read_ledger(store, params.model).entries


def _weigh(
    candidate: T, named: RegisteredModel, ledger: Ledger, contest: Contest[T], store: ObjectStore
) -> LedgerEntry:
    champion = ledger.champion
    reigning = None
    if champion:
        reigning = verify_weights(contest.load(champion.checkpoint), champion.weights_sha256, store)
    verdict, comparison = contest.weigh(candidate, reigning)
    return LedgerEntry(
        sequence=ledger.sequence + 1,
        kind="promote" if verdict.promoted else "reject",
        model=contest.model,
        candidate=named,
        champion_before=champion,
        champion_after=named if verdict.promoted else champion,
        comparison=comparison,
        reasons=verdict.reasons,
        revision=git_revision(),
        who=whoami(),
    )


def _refuse(candidate: RegisteredModel, ban: Ban, ledger: Ledger, model: str) -> LedgerEntry:
    same = "" if candidate.version == ban.model.version else f"is the network of version {ban.model.version}; "
    reason = f"{same}{ban}; `siamese promote --lift {ban.model.version} --reason …` lifts the ban"
    return _without_scores("reject", candidate, ledger.champion, [reason], ledger, model)


def _without_scores(
    kind: Literal["reject", "rollback", "lift"],
    model: RegisteredModel,
    champion: RegisteredModel | None,
    reasons: Sequence[str],
    ledger: Ledger,
    name: str,
) -> LedgerEntry:
    return LedgerEntry(
        sequence=ledger.sequence + 1,
        kind=kind,
        model=name,
        candidate=model,
        champion_before=ledger.champion,
        champion_after=champion,
        comparison=None,
        reasons=tuple(reasons),
        revision=git_revision(),
        who=whoami(),
    )


def _went_back(ledger: Ledger, target: RegisteredModel) -> list[str]:
    present = ledger.champion.version if ledger.champion else None
    down = ledger.reigns[ledger.reigns.index(target) + 1 :] if target in ledger.reigns else ()
    bans = [f"version {model.version} is banned until `siamese promote --lift {model.version}`" for model in down]
    return [f"rolled back from version {present} to {target.version} on request", *bans]


def _record(entry: LedgerEntry, store: ObjectStore) -> Ruling | None:
    try:
        append(store, entry)
    except RaceLostError:
        return None
    project_aliases(store, entry.model)
    return Ruling(entry=entry, new=True)


def _named(version: ModelVersion) -> RegisteredModel:
    return RegisteredModel(
        version=version.version, checkpoint=version.checkpoint, weights_sha256=version.weights_sha256
    )


def _target(ledger: Ledger, to: int | None, model: str) -> RegisteredModel:
    if to is None:
        if len(ledger.reigns) < 2:
            fix = "`siamese history` shows who was champion"
            raise SiameseError("there is no champion to roll back to", where=model, fix=fix)
        return ledger.reigns[-2]
    crowned = {one.version: one for entry in ledger.entries if (one := entry.champion_after)}
    if to not in crowned:
        fix = "`siamese history` shows who was; a new version goes through `siamese promote`"
        raise SiameseError(f"version {to} was never champion", where=model, fix=fix)
    if ban := ledger.ban_on(crowned[to]):
        raise SiameseError(str(ban), where=model, fix=f"lift the ban first: `siamese promote --lift {to} --reason …`")
    return crowned[to]


def _busy(model: str) -> SiameseError:
    return SiameseError(
        f"others decided {_TRIES} times in a row meanwhile", where=f"ledger of {model}", fix="try again"
    )
