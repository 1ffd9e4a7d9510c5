"""``siamese sample``: writes synthetic scenes in xBD's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from siamese.cli.common import DEFAULT_PARAMS, Json, Overrides, ParamsFile, emit
from siamese.params import load_params


def sample(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write to; created if needed.")],
    scenes: Annotated[int | None, typer.Option(min=1, help="How many scenes. [default: params.yaml]")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Same seed, same bytes. [default: params.yaml]")] = None,
    event: Annotated[
        Literal["wind", "flood", "fire", "mixed"] | None, typer.Option(help="What struck. [default: params.yaml]")
    ] = None,
    imagery: Annotated[
        bool,
        typer.Option("--imagery", help="Write georeferenced GeoTIFFs to DIR/pre and DIR/post instead, without labels."),
    ] = False,
    params: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Write synthetic scenes in the layout and schema of xBD.

    Each scene is a pair of images before and after a disaster, with labels of every building: DIR/images holds
    NAME_pre_disaster.png and NAME_post_disaster.png, DIR/labels the matching JSON files. Nothing in them is real, so
    they may be shared; they train a network well enough for a first look at the whole chain.

    The same scenes, seed and event give the same bytes. Run again after an interruption, it resumes;
    with more scenes, it adds the new ones. DIR must contain nothing else.

    With --imagery, the same scenes come as imagery does after a disaster: GeoTIFFs that know their place, and nobody
    has labelled them. `siamese map --pre DIR/pre --post DIR/post` makes a map of them.

    Next: siamese upload DIR s3://raw/scenes
    """
    from siamese.sample import write_imagery, write_sample

    chosen = {"scenes": scenes, "seed": seed, "event": event}
    given = [f"sample.{name}={value}" for name, value in chosen.items() if value is not None]
    wanted = load_params(params, [*(overrides or ()), *given]).sample
    if imagery:
        files = write_imagery(folder, wanted)
        names = [str(path) for path in files]
        emit({"folder": str(folder), "files": names}, "\n".join(names), as_json=as_json)
        return
    made = write_sample(folder, wanted)
    table = Table("subtype", "buildings", title=f"{made.scenes} scenes in {folder}, {made.empty} without buildings")
    table.columns[1].justify = "right"
    for subtype, count in made.buildings.items():
        table.add_row(subtype, f"{count:,}")
    emit(made, table, as_json=as_json)
