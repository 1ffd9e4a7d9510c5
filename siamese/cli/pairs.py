"""``siamese pairs``: makes training pairs from a scene catalog."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from siamese.cli.common import DEFAULT_PARAMS, Json, Out, Overrides, ParamsFile, emit, write_json

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from siamese.pairs.statistics import EventTally

_NAMED = 20
"""So many of the scenes that are left out are printed; ``--json`` names all."""


def pairs(
    catalog: Annotated[
        str, typer.Option(metavar="REF", help="Scene catalog: latest, a digest, s3://… or what --out wrote.")
    ] = "latest",
    params: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Make training pairs from the accepted scenes of a catalog: masks, splits, shards.

    Reads each scene once, burns its polygons into a mask (0 background, 1-4 damage, 255 un-classified), cuts it into
    blocks and stores them in WebDataset shards with an index, so that reading a crop fetches only its own bytes. If
    this is already done with the same catalog and params, it says so at once.

    pairs.split in params.yaml decides how scenes are split: official (xBD's folders), event (whole disasters held out),
    scene (seeded; neighbouring tiles share a split) or fold (the same for cross-validation, one pair set per fold).
    To try one: siamese pairs --set pairs.split=event

    When new scenes arrive, old ones keep their split, so that the champion is never scored on what it was trained on;
    new tiles that lie between scenes of two splits are left out and listed in the output. Scenes that are changed
    copies of each other (see `siamese duplicates`) share a split too.

    To include scenes without labels for `siamese pretrain`: siamese pairs --set pairs.unlabelled=true
    """
    from siamese.manifests import SceneCatalog
    from siamese.params import load_params
    from siamese.store import ObjectStore

    settings = load_params(params, overrides or ()).pairs
    store = ObjectStore()
    scenes = SceneCatalog.resolve(store, catalog)
    # Imported last, as these take seconds: errors above are reported at once.
    from siamese.pairs import build_pairs
    from siamese.pairs.statistics import read_csv

    pair_set = build_pairs(scenes, settings, store)
    pair_set.mark_latest(store)
    write_json(pair_set, out)
    title = f"pairs {pair_set.digest}, split by {settings.split}, {len(pair_set.shards)} shards"
    table = _table(title, read_csv(pair_set.statistics.read(store)))
    emit(pair_set, _with_left_out(table, pair_set.left_out), as_json=as_json)


def _with_left_out(table: Table, scenes: Sequence[str]) -> RenderableType:
    from rich.console import Group

    if not scenes:
        return table
    names = ", ".join(scenes[:_NAMED]) + (f" and {len(scenes) - _NAMED} more" if len(scenes) > _NAMED else "")
    why = "as they have a twin in another split or lie between scenes of two splits"
    return Group(table, f"left out, {why}: {len(scenes)}: {names}")


def _table(title: str, events: Iterable[EventTally]) -> Table:
    from itertools import groupby

    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from siamese.classes import SUBTYPES

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("split / event", overflow="fold")
    for column in ("scenes", "empty", *SUBTYPES):
        table.add_column(column.replace("-", "-\n"), justify="right", no_wrap=True)
    for split, held in groupby(events, key=lambda event: event.split):
        members = list(held)
        numbers = [
            [event.scenes, event.scenes_without_buildings, *(event.buildings[name] for name in SUBTYPES)]
            for event in members
        ]
        table.add_row(split, *(f"{sum(column):,}" for column in zip(*numbers, strict=True)), style="bold")
        for event, line in zip(members, numbers, strict=True):
            table.add_row(f"  {event.disaster}", *(f"{number:,}" for number in line))
        table.add_section()
    return table
