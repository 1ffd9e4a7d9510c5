"""The verbs ``promote``, ``rollback`` and ``history``: who is champion, decided once and written down."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from siamese.errors import SiameseError
from siamese.evaluation import evaluate
from siamese.manifests import Checkpoint, Evaluation, ModelVersion, PairSet
from siamese.params import EvaluationParams, PromotionParams
from siamese.progress import progress
from siamese.registry.aliases import project_aliases
from siamese.registry.fairness import seen_before
from siamese.registry.gate import judge
from siamese.registry.ledger import (
    Comparison,
    Ledger,
    LedgerEntry,
    RegisteredModel,
    append,
    read_ledger,
    same_question,
    whoami,
)
from siamese.registry.weights import verify_weights
from siamese.store import ObjectStore, RaceLostError
from siamese.store.provenance import git_revision

_TRIES = 20


class Decision(BaseModel):
    """What ``promote`` or ``rollback`` came to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entry: LedgerEntry = Field(description="The ledger's entry that says so.")
    new: bool = Field(description="Whether this call wrote it; false when it was so already.")

    @property
    def champion(self) -> int | None:
        """Version that is champion after the entry."""
        return self.entry.champion_after.version if self.entry.champion_after else None


def promote(
    candidate: ModelVersion,
    pairs: PairSet,
    params: PromotionParams,
    evaluation_params: EvaluationParams,
    store: ObjectStore,
) -> Decision:
    """Passes a candidate through the gate against the champion.

    Both are scored on the same frozen split in the same run (what is already scored under its digest is read). The
    decision is an entry of the ledger; of two that promote at once, the one whose entry comes second decides again,
    against the outcome of the first. Its reasons also say when either was trained on scenes that it is scored on.

    Args:
        candidate: A registered version.
        pairs: Whose split both are scored on.
        params: Least gain and floors.
        evaluation_params: Which split.
        store: Where ledger and manifests lie.

    Returns:
        The decision. A candidate that is champion already, or was rejected on the very same figures, writes no entry.

    Raises:
        SiameseError: Weights do not match their registered sha256, or the candidate is of another model.
        TransientError: MLflow does not answer.
    """
    if candidate.name != params.model:
        fix = "set promotion.model, or register the checkpoint under that name"
        raise SiameseError(f"is a version of {candidate.name}, not of {params.model}", where=candidate.digest, fix=fix)
    project_aliases(store, params.model)
    named = _named(candidate)
    for _ in range(_TRIES):
        ledger = read_ledger(store, params.model)
        verified = verify_weights(Checkpoint.load(store, named.checkpoint), candidate.weights_sha256, store)
        if ledger.champion == named:
            return Decision(entry=ledger.crowning(named), new=False)
        entry = _weigh(verified, named, ledger, pairs, params, evaluation_params, store)
        if answered := same_question(ledger.entries, entry):
            return Decision(entry=answered, new=False)
        if decision := _record(entry, store):
            return decision
    raise _busy(params.model)


def rollback(to: int | None, params: PromotionParams, store: ObjectStore) -> Decision:
    """Makes a former champion champion again, as a new entry of the ledger.

    Args:
        to: Version to go back to; None for the champion before the present one.
        params: Name of the model.
        store: Where ledger and manifests lie.

    Raises:
        SiameseError: There is none to go back to, that version was never champion, or its weights do not match.
        TransientError: MLflow does not answer.
    """
    project_aliases(store, params.model)
    for _ in range(_TRIES):
        ledger = read_ledger(store, params.model)
        target = _target(ledger, to, params.model)
        if ledger.champion == target:
            return Decision(entry=ledger.crowning(target), new=False)
        verify_weights(Checkpoint.load(store, target.checkpoint), target.weights_sha256, store)
        present = ledger.champion.version if ledger.champion else None
        entry = LedgerEntry(
            sequence=ledger.sequence + 1,
            kind="rollback",
            model=params.model,
            candidate=target,
            champion_before=ledger.champion,
            champion_after=target,
            comparison=None,
            reasons=(f"rolled back from version {present} to {target.version} on request",),
            revision=git_revision(),
            who=whoami(),
        )
        if decision := _record(entry, store):
            return decision
    raise _busy(params.model)


def history(params: PromotionParams, store: ObjectStore) -> tuple[LedgerEntry, ...]:
    """All decisions about a model, first to last; needs the bucket only."""
    return read_ledger(store, params.model).entries


def _weigh(
    candidate: Checkpoint,
    named: RegisteredModel,
    ledger: Ledger,
    pairs: PairSet,
    params: PromotionParams,
    evaluation_params: EvaluationParams,
    store: ObjectStore,
) -> LedgerEntry:
    champion = ledger.champion
    with progress("score candidate and champion", 2 if champion else 1) as advance:
        ours = evaluate(candidate, pairs, evaluation_params, store)
        advance(note=f"version {named.version}")
        seen = seen_before("candidate", candidate, pairs, ours.split, store)
        theirs: Evaluation | None = None
        if champion:
            reigning = verify_weights(Checkpoint.load(store, champion.checkpoint), champion.weights_sha256, store)
            theirs = evaluate(reigning, pairs, evaluation_params, store)
            seen += seen_before("champion", reigning, pairs, ours.split, store)
            advance(note=f"version {champion.version}")
    verdict = judge(ours.scores, theirs.scores if theirs else None, params)
    return LedgerEntry(
        sequence=ledger.sequence + 1,
        kind="promote" if verdict.promoted else "reject",
        model=params.model,
        candidate=named,
        champion_before=champion,
        champion_after=named if verdict.promoted else champion,
        comparison=Comparison(
            pairs=pairs.digest,
            split=ours.split,
            candidate=ours.scores,
            candidate_evaluation=ours.digest,
            champion=theirs.scores if theirs else None,
            champion_evaluation=theirs.digest if theirs else None,
            thresholds=params.identity(),
        ),
        reasons=verdict.reasons + seen,
        revision=git_revision(),
        who=whoami(),
    )


def _record(entry: LedgerEntry, store: ObjectStore) -> Decision | None:
    try:
        append(store, entry)
    except RaceLostError:
        return None
    project_aliases(store, entry.model)
    return Decision(entry=entry, new=True)


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
    crowned = {entry.candidate.version: entry.candidate for entry in ledger.entries if entry.kind != "reject"}
    if to not in crowned:
        fix = "`siamese history` shows who was; a new version goes through `siamese promote`"
        raise SiameseError(f"version {to} was never champion", where=model, fix=fix)
    return crowned[to]


def _busy(model: str) -> SiameseError:
    return SiameseError(
        f"others decided {_TRIES} times in a row meanwhile", where=f"ledger of {model}", fix="try again"
    )
