"""``siamese duplicates``: finds images that are changed copies of each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from siamese.cli.common import Json, emit
from siamese.errors import SiameseError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from siamese.duplicates import Found

_SHOWN = 30
_TWINS_FOUND = 3


def duplicates(
    source: Annotated[
        str,
        typer.Argument(
            metavar="[CATALOG|DIR|S3_PREFIX]",
            help="A scene catalog (latest, a digest, or what --out wrote), a folder of images, or s3://bucket/prefix.",
        ),
    ] = "latest",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write pairs.csv, groups.csv and sheet.png to this folder.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 3 if there are any.")] = False,
    as_json: Json = False,
) -> None:
    """Find twins: images that are flipped, turned, cut, resized, recoloured or re-encoded copies of each other.

    Images of a folder or prefix may be PNG, TIFF or JPEG; those named like xBD's scenes count as the two dates of a
    scene, which are not compared with each other. Scenes of a catalog are compared date by date, so a copy of one date
    alone is found too. Two tiles that share less than 80 % of the smaller one are neighbours, not twins. The result
    for a catalog is published, and `siamese pairs` keeps twins in one split.

    Exits with 0 whether or not there are twins, with 1 if it failed, and with --check with 3 if there are any.
    """
    from siamese.store import ObjectStore, S3Uri

    of_catalog = not Path(source).is_dir() and not (source.startswith("s3://") and not source.endswith(".json"))
    if of_catalog and "/" in source and not source.startswith("s3://") and not Path(source).exists():
        fix = "name a folder, a catalog or an s3:// prefix"
        raise SiameseError("there is no such folder or file", where=source, fix=fix)
    if of_catalog:
        from siamese.manifests import SceneCatalog

        store = ObjectStore()
        catalog = SceneCatalog.resolve(store, source)
        # Imported last, as these take seconds: errors above are reported at once.
        from siamese.duplicates import duplicates_of_catalog, read_found

        manifest = duplicates_of_catalog(catalog, store)
        manifest.mark_latest(store)
        found, where = read_found(manifest, store), f"duplicates {manifest.digest}: {manifest.uri(store)}"
    else:
        from siamese.duplicates import duplicates_of_files
        from siamese.duplicates.sources import files_of_folder, files_of_prefix

        if source.startswith("s3://"):
            found, where = duplicates_of_files(files_of_prefix(S3Uri.parse(source), ObjectStore())), ""
        else:
            found, where = duplicates_of_files(files_of_folder(Path(source))), ""
    if out is not None:
        found.write(out)
        where = f"{where}\n{out}: pairs.csv, groups.csv{', sheet.png' if found.sheet else ''}".strip()
    emit(_facts(found), _told(found, where), as_json=as_json)
    if check and found.pairs:
        raise typer.Exit(_TWINS_FOUND)


def _facts(found: Found) -> dict[str, Any]:
    return {
        "images": found.images,
        "pairs": [pair.model_dump(mode="json") for pair in found.pairs],
        "groups": [list(members) for members in found.groups],
        "unreadable": found.unreadable,
    }


def _told(found: Found, where: str) -> RenderableType:
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    title = f"{found.images:,} images: {len(found.pairs):,} pairs of twins in {len(found.groups):,} groups"
    told: list[RenderableType] = [Text(title)]
    if found.pairs:
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
        for column in ("one", "other", "change"):
            table.add_column(column, overflow="fold")
        table.add_column("confidence", justify="right")
        for pair in found.pairs[:_SHOWN]:
            names = (pair.one.name, pair.other.name, ", ".join(pair.kinds))
            table.add_row(*map(Text, names), f"{pair.confidence:.2f}")
        told.append(table)
    if len(found.pairs) > _SHOWN:
        told.append(Text(f"and {len(found.pairs) - _SHOWN:,} more; --out DIR or --json lists all"))
    told += [Text(f"not compared: {name}: {reason}") for name, reason in list(found.unreadable.items())[:_SHOWN]]
    if len(found.unreadable) > _SHOWN:
        told.append(Text(f"and {len(found.unreadable) - _SHOWN:,} more that could not be compared; --json lists all"))
    return Group(*told, Text(where)) if where else Group(*told)
