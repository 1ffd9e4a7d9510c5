"""``siamese select``, ``adapt`` and ``assess``: a person labels a few buildings, and a map learns or is judged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from siamese.cli.common import DEFAULT_PARAMS, Json, Overrides, ParamsFile, dump, emit, write_json
from siamese.errors import SiameseError

if TYPE_CHECKING:
    from rich.table import Table

    from siamese.manifests import Assessment, DamageMap, EmbeddingIndex, Interval
    from siamese.store import ObjectStore

Map = Annotated[
    str,
    typer.Argument(metavar="MAP", help="An event, whose current map is meant, or a map's digest, address or map.json."),
]
Index = Annotated[
    str | None,
    typer.Option(metavar="REF", help="Vectors to take instead of the map's own: an index's digest, address or file."),
]
Author = Annotated[str | None, typer.Option(metavar="NAME", help="Who labelled; by default whoever is logged in.")]
_LABELS = (
    "GeoJSON with `damage_class` (no_damage, minor_damage, major_damage, destroyed, no_building or unclear) on points "
    "or polygons, or CSV with the columns id and damage_class."
)


def select(
    where: Map,
    n: Annotated[int, typer.Option("-n", help="How many buildings.")] = 20,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Where to write them: GeoJSON, or CSV by the name's ending.")
    ] = Path("labels.geojson"),
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a sheet of pictures (PNG): before and after.")
    ] = None,
    index: Index = None,
    as_json: Json = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
) -> None:
    """Pick the buildings of a map that a person should label next, so that few labels teach much.

    The picks are buildings that the map is unsure of, unlike each other, typical of others, and spread over the area.
    Write a class into `damage_class` of each, in QGIS or a text editor, and hand the file to `siamese adapt`. Buildings
    that the map was adapted with before are not picked again. The same map gives the same picks.
    """
    from siamese.adaptation.lineage import find_map
    from siamese.params import load_params
    from siamese.store import ObjectStore

    store, params = ObjectStore(), load_params(params_file, overrides or ())
    made = find_map(where, store)
    # Imported last, as this takes seconds: unknown names are reported at once.
    from siamese.adaptation.assessment import to_label
    from siamese.adaptation.verb import select_buildings

    given = _index(index, store)
    buildings, picks = select_buildings(made, n, params.adaptation, params.embedding, store, index=given)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix.lower() == ".csv":
        from siamese.tables import csv_bytes

        out.write_bytes(csv_bytes(("id", "damage_class"), [(pick.building, None) for pick in picks]))
    else:
        about = {pick.place: {"mapped": pick.damage_class, "unsure": round(pick.unsure, 4)} for pick in picks}
        out.write_bytes(to_label(buildings, [pick.place for pick in picks], about))
    if sheet is not None:
        from siamese.embedding.asking import draw_buildings

        sheet.parent.mkdir(parents=True, exist_ok=True)
        notes = {pick.building: f"unsure {pick.unsure:.2f}" for pick in picks}
        title = f"the {len(picks)} buildings of {made.event} to label next"
        sheet.write_bytes(draw_buildings(made, notes, title, store))
    rows = [{"id": pick.building, "mapped": pick.damage_class, "unsure": round(pick.unsure, 4)} for pick in picks]
    lines = [
        f"{len(picks)} of {len(buildings):,} buildings of {made.event} to label",
        *(f"  {row['unsure']:.2f}  {row['mapped']:<12}  {row['id']}" for row in rows),
        f"  {out}: fill in damage_class, then `siamese adapt {where} --labels {out}`",
        *([f"  {sheet}"] if sheet else []),
    ]
    emit({"map": made.digest, "event": made.event, "picks": rows}, "\n".join(lines), as_json=as_json)


def adapt(
    where: Map,
    labels: Annotated[Path, typer.Option(metavar="FILE", help=_LABELS)],
    author: Author = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also copy the new map's files to this folder.")
    ] = None,
    index: Index = None,
    as_json: Json = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
) -> None:
    """Decide all buildings of a map anew from a handful of labels, in seconds, and publish the new map.

    No network is trained, and none runs if the map's buildings have vectors already (`siamese similarity embed`,
    `siamese select` and the flow `index` make them). The network's own probabilities are where the model starts, and
    each label moves buildings like it. A labelled building has its label. The labels are kept on the bucket with their
    author and time; earlier labels of the map still count. The new map names its labels and the map before it, and
    becomes the event's current one; `siamese map` of the same images and model brings the network's back.
    """
    from siamese.adaptation.lineage import find_map
    from siamese.params import load_params
    from siamese.store import ObjectStore

    store, params = ObjectStore(), load_params(params_file, overrides or ())
    _check_file(labels)
    made = find_map(where, store)
    from siamese.adaptation.verb import adapt_map

    adapted = adapt_map(
        made,
        labels,
        params.adaptation,
        params.embedding,
        params.mapping,
        store,
        author=author or login(),
        index=_index(index, store),
    )
    adapted.mark_current(store)
    files: list[Path] = []
    if out is not None:
        from siamese.cli.map import copy_map

        files = copy_map(adapted, out, store)
    emit(adapted, _told(made, adapted, files), as_json=as_json)


def assess(
    where: Map,
    n: Annotated[int, typer.Option("-n", help="How many buildings to draw.")] = 100,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Labels of the drawn buildings. {_LABELS}")
    ] = None,
    author: Author = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Without --labels: where to write the buildings to label (GeoJSON); by default assess.geojson. With "
            "--labels: where to write the assessment (JSON).",
        ),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a sheet of pictures (PNG) of the drawn buildings.")
    ] = None,
    as_json: Json = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
) -> None:
    """Estimate how right a map is, and how many buildings are damaged, from labels of a random sample.

    Two steps. `siamese assess MAP -n 100` draws the sample, by mapped class, and writes it to label; what the map says
    of a building is not in it. `siamese assess MAP -n 100 --labels FILE` then gives precision, recall and F1 of each
    class and the number of buildings of each class in the whole area, with 95 % intervals. The same map and size give
    the same sample, so nobody can draw until the result flatters. Labels and estimate are kept on the bucket.
    """
    from siamese.adaptation.lineage import find_map
    from siamese.params import load_params
    from siamese.store import ObjectStore

    store, params = ObjectStore(), load_params(params_file, overrides or ()).adaptation
    if labels is not None:
        _check_file(labels)
    made = find_map(where, store)
    from siamese.adaptation.assessment import assess_map, draw_sample

    sample = draw_sample(made, n, params, store)
    if labels is None:
        target = out or Path("assess.geojson")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(sample.geojson.read(store))
        drawn = sum(count for _, count in sample.strata.values())
        strata = ", ".join(f"{count} of {there:,} {name}" for name, (there, count) in sample.strata.items() if there)
        if sheet is not None:
            _draw(sample.geojson.read(store), made, sheet, store)
        lines = [
            f"{drawn} buildings of {made.event} drawn: {strata.replace('_', ' ')}",
            f"  {target}: fill in damage_class, then `siamese assess {where} -n {n} --labels {target}`",
            *([f"  {sheet}"] if sheet else []),
        ]
        emit(sample, "\n".join(lines), as_json=as_json)
        return
    found = assess_map(made, sample, labels, params, store, author=author or login())
    write_json(found, out)
    if as_json:
        typer.echo(dump(found))
        return
    from rich.console import Console

    Console().print(_table(found))
    for note in found.notes:
        typer.echo(f"  {note}")


def _draw(geojson: bytes, made: DamageMap, sheet: Path, store: ObjectStore) -> None:
    import json

    from siamese.embedding.asking import draw_buildings

    names = [one["id"] for one in json.loads(geojson)["features"]]
    notes = {name: f"{number} of {len(names)}" for number, name in enumerate(names, start=1)}
    title = f"{made.event}: a random sample to judge, its mapped classes hidden"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    sheet.write_bytes(draw_buildings(made, notes, title, store, blind=True))


def _index(reference: str | None, store: ObjectStore) -> EmbeddingIndex | None:
    from siamese.manifests import EmbeddingIndex

    return None if reference is None else EmbeddingIndex.resolve(store, reference)


def _check_file(labels: Path) -> None:
    if not labels.is_file():
        raise SiameseError("there is no such file", where=str(labels), fix="check the path")


def login() -> str:
    """Returns the name of whoever is logged in."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _told(before: DamageMap, after: DamageMap, files: list[Path]) -> str:
    changes = ", ".join(
        f"{after.counts.get(name, 0):,} {name.replace('_', ' ')} ({after.counts.get(name, 0) - count:+,})"
        for name, count in before.counts.items()
    )
    return "\n".join([
        f"{after.event}: map {after.digest}, {after.model}",
        f"  {sum(after.counts.values()):,} buildings: {changes}",
        f"  before: map {before.digest}; labels {', '.join(after.labels)}",
        *(f"  warning: {warning}" for warning in after.warnings),
        *(f"  {path}" for path in files),
    ])  # fmt: skip


def _table(found: Assessment) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    title = Text(f"{found.event}: {found.sampled} of {found.buildings:,} buildings labelled; 95 % intervals")
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False)
    # Intervals stand below their values: six columns fit into the 80 characters of a small terminal or a log.
    table.add_column("class", no_wrap=True)
    for column in ("mapped", "truly there", "precision", "recall", "F1"):
        table.add_column(column, justify="right", no_wrap=True)
    rows: dict[str, Any] = {**found.classes, "damaged": found.damaged}
    for name, one in rows.items():
        there = f"{one.buildings.estimate:,.0f}\n{one.buildings.low:,.0f} to {one.buildings.high:,.0f}"
        table.add_row(
            name.replace("_", " "), f"{one.mapped:,}", there, _share(one.precision), _share(one.recall), _share(one.f1)
        )
    table.add_section()
    table.add_row("share right", "", "", "", "", _share(found.accuracy))
    table.add_row("mean F1", "", "", "", "", _share(found.macro_f1))
    return table


def _share(one: Interval) -> str:
    return f"{one.estimate:.2f}\n{one.low:.2f} to {one.high:.2f}"
