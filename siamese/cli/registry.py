"""``siamese register``, ``promote``, ``rollback`` and ``history``: decide and show which version is champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from siamese.cli.common import (
    DEFAULT_PARAMS,
    Json,
    Out,
    Overrides,
    ParamsFile,
    dump,
    emit,
    write_json,
)
from siamese.errors import SiameseError

if TYPE_CHECKING:
    from siamese.registry import Ledger, LedgerEntry, Ruling


def register(
    checkpoint: Annotated[
        str, typer.Option(metavar="CHECKPOINT", help="latest, a digest, s3://… or what `train --out` wrote.")
    ] = "latest",
    evaluation: Annotated[
        str, typer.Option(metavar="EVALUATION", help="latest, a digest, s3://… or what `evaluate --out` wrote.")
    ] = "latest",
    out: Out = None,
    as_json: Json = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
) -> None:
    """Register a checkpoint in MLflow as a version of the model that `promotion.model` names.

    The version points at the stored weights and carries scores, digests and the code revision as tags. A
    checkpoint has one version: registering it again, or concurrently, returns the same version. It becomes the
    challenger; `siamese promote` decides whether it becomes champion.
    """
    from siamese.manifests import Checkpoint, Evaluation
    from siamese.params import load_params
    from siamese.store import ObjectStore

    store, params = ObjectStore(), load_params(params_file, overrides or ()).promotion
    made, scored = Checkpoint.resolve(store, checkpoint), Evaluation.resolve(store, evaluation)
    # Imported last, as these take seconds: errors above are reported at once.
    from siamese.registry import register as run

    version = run(made, scored, params, store)
    version.mark_latest(store)
    write_json(version, out)
    emit(version, f"{version.name} version {version.version} is checkpoint {version.checkpoint}", as_json=as_json)


def promote(
    candidate: Annotated[
        str | None,
        typer.Argument(
            metavar="[VERSION]",
            help="A version's number, models:/NAME@challenger, latest (registered last, the default), a digest, or "
            "what `register --out` wrote.",
            show_default=False,
        ),
    ] = None,
    pairs: Annotated[
        str, typer.Option(metavar="PAIRSET", help="Pair set to score on: latest, a digest, s3://… or a local manifest.")
    ] = "latest",
    lift: Annotated[
        int | None,
        typer.Option(metavar="VERSION", help="Lift the ban that a rollback put on this version; promotes nothing."),
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why the ban is lifted.")] = "",
    as_json: Json = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
) -> None:
    """Pass a registered version through the gate; if it is better, it becomes champion.

    Candidate and champion are scored on the same split of the same pair set (`evaluation.split`). The candidate must
    gain `promotion.minimum_gain` over the champion and reach every floor of `promotion`; the first champion only
    needs to reach the floors. Either way, the decision and its figures are added to the ledger; see `siamese history`.

    A version that a rollback demoted is banned: it is rejected until a person lifts the ban with
    `siamese promote --lift VERSION --reason TEXT`.
    """
    from siamese.manifests import PairSet
    from siamese.params import load_params
    from siamese.store import ObjectStore

    if lift is not None and candidate is not None:
        raise SiameseError("takes no candidate", where="--lift", fix="lift the ban first, then promote the version")
    store, params = ObjectStore(), load_params(params_file, overrides or ())
    split = PairSet.resolve(store, pairs) if lift is None else None
    # Imported last, as these take seconds: errors above are reported at once.
    from siamese.registry import lift as lift_ban
    from siamese.registry import promote as run
    from siamese.registry import resolve_version

    if lift is not None:
        decision = lift_ban(lift, reason, params.promotion, store)
    elif split is not None:
        version = resolve_version(candidate or "latest", params.promotion.model, store)
        decision = run(version, split, params.promotion, params.evaluation, store)
    emit(decision, summary(decision), as_json=as_json)


def rollback(
    to: Annotated[
        int | None, typer.Option(metavar="VERSION", help="Former champion to go back to; by default the one before.")
    ] = None,
    as_json: Json = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
) -> None:
    """Reinstate a former champion.

    This adds an entry to the ledger and removes none. Two rollbacks in a row go back two steps. Demoted versions
    are banned: the gate does not promote them until `siamese promote --lift` lifts the ban. A version that was never
    champion has to go through `siamese promote`.
    """
    from siamese.params import load_params
    from siamese.store import ObjectStore

    store, params = ObjectStore(), load_params(params_file, overrides or ()).promotion
    # Imported last, as these take seconds: errors above are reported at once.
    from siamese.registry import rollback as run

    decision = run(to, params, store)
    emit(decision, summary(decision), as_json=as_json)


def history(
    as_json: Json = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
) -> None:
    """Show every decision about the model: promotions, rejections, rollbacks and lifted bans, each with its reasons.

    The history is read from the bucket, and MLflow's aliases `champion` and `challenger` are set to match it.
    """
    from rich.console import Console

    from siamese.params import load_params
    from siamese.store import ObjectStore

    store, params = ObjectStore(), load_params(params_file, overrides or ()).promotion
    # Imported last, as these take seconds: errors above are reported at once.
    from siamese.registry import project_aliases, read_ledger

    ledger = read_ledger(store, params.model)
    if as_json:
        entries = [entry.model_dump(mode="json") for entry in ledger.entries]
        banned = [ban.model.model_dump() | {"entry": ban.entry.sequence} for ban in ledger.bans]
        typer.echo(dump({"model": params.model, "entries": entries, "banned": banned}))
    elif ledger.entries:
        Console().print(_lines(ledger), markup=False, highlight=False, soft_wrap=True)
    else:
        Console().print(f"{params.model} has no history yet; `siamese promote` writes its first entry")
    try:
        project_aliases(store, params.model)
    except SiameseError as error:  # the history itself is complete without MLflow
        Console(stderr=True).print(f"siamese: aliases were not set: {error}", style="yellow", markup=False)


def summary(decision: Ruling) -> str:
    """Returns a decision and its reasons, a line each."""
    entry, version = decision.entry, decision.entry.candidate.version
    match entry.kind, decision.new:
        case "promote", True:
            head = f"version {version} is champion of {entry.model}"
        case "reject", _:
            stays = f"version {decision.champion} stays champion" if decision.champion else "there is no champion"
            head = f"version {version} of {entry.model} is rejected{'' if decision.new else ' already'}; {stays}"
        case "lift", _:
            head = f"version {version} of {entry.model} is not banned any more; the gate may promote it again"
        case "rollback", True:
            head = f"version {version} is champion of {entry.model} again"
        case _:
            head = f"version {version} is champion of {entry.model} already"
    return "\n".join([f"{head} (entry {entry.sequence})", *(f"  {reason}" for reason in entry.reasons)])


def _lines(ledger: Ledger) -> str:
    entries = [line for entry in ledger.entries for line in _entry(entry)]
    return "\n".join([ledger.entries[0].model, *entries, *(f"  {ban}" for ban in ledger.bans)])


def _entry(entry: LedgerEntry) -> list[str]:
    compared = entry.comparison
    before = f"{entry.champion_before.version}" if entry.champion_before else "none"
    after = f"{entry.champion_after.version}" if entry.champion_after else "none"
    champion = f"champion {before} → {after}" if before != after else f"champion stays {after}"
    scored = f", score {compared.candidate.score:.4f}" if compared else ""
    if compared and compared.champion:
        scored += f" against {compared.champion.score:.4f}"
    head = (
        f"{entry.sequence:>4}  {entry.created:%Y-%m-%d %H:%M}  {entry.kind} version {entry.candidate.version}{scored}"
    )
    return [f"{head}; {champion}; by {entry.who}", *(f"{'':24}{reason}" for reason in entry.reasons)]
