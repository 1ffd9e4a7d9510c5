"""``siamese stages``: lists the declared stages and whether the lock agrees with their code."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from siamese.cli.common import Json, emit
from siamese.errors import SiameseError


def stages(
    check: Annotated[bool, typer.Option("--check", help="Fail when the lock disagrees with the code.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Bring stages.lock up to date.")] = False,
    same_results: Annotated[
        str | None,
        typer.Option(metavar="WHY", help="With --write: why changed code still gives the same results."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the stages of the chain: name, version, params, and whether stages.lock agrees.

    A result is identified by its stage's name and version, the contents of its inputs, and its params, not by its
    code. After changing code that a stage reaches, either raise the stage's version (earlier results stay valid), or
    state why results stay the same.
    """
    from siamese.stages import STAGES, disagreement, read_lock, write_lock

    if write:
        write_lock(same_results)
    elif same_results:
        raise SiameseError("changes nothing alone", where="--same-results", fix="give --write too")
    lock = read_lock()
    told = {stage.noun: disagreement(stage, lock) for stage in STAGES}
    if check and (wrong := [line for line in told.values() if line]):
        for line in wrong[1:]:
            typer.echo(f"siamese: {line}", err=True)
        what, _, fix = wrong[0].partition(" — ")
        raise SiameseError(what, fix=fix)
    rows = [
        {
            "stage": stage.noun,
            "version": stage.version,
            "params": list(stage.sections),
            "lock": told[stage.noun] or "agrees",
        }
        for stage in STAGES
    ]
    table = Table("stage", "version", "params", "stages.lock")
    for stage in STAGES:
        table.add_row(stage.noun, str(stage.version), ", ".join(stage.sections), told[stage.noun] or "agrees")
    emit({"stages": rows}, table, as_json=as_json)
