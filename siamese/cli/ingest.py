"""``siamese ingest``: turns raw objects into a scene catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from siamese.cli.common import DEFAULT_PARAMS, Json, Out, Overrides, ParamsFile, emit, write_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from siamese.manifests import SceneCatalog
    from siamese.store import ObjectStore

_SHOWN = 20


def ingest(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[S3_PREFIX]", help="s3://bucket/prefix, or one archive; default: ingest.source."),
    ] = None,
    params_file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Read every scene under a prefix, check it, and publish a catalog of what can be trusted.

    Reads xBD in its common layouts: flat images/ labels/ targets/, split folders train tier3 test hold, and .tar,
    .tar.gz or .zip archives, also in parts, with PNG or GeoTIFF images. Each scene is accepted; or unlabelled, if it
    has only images, which is enough for maps; or quarantined, with the reasons. What has not changed since the last
    time is not read again.
    """
    from siamese.params import load_params
    from siamese.store import ObjectStore, S3Uri

    params = load_params(params_file, overrides or ()).ingest
    store, prefix = ObjectStore(), S3Uri.parse(source or params.source)
    # Imported last, as these take seconds: errors above are reported at once.
    from siamese.ingest import ingest as run

    catalog = run(prefix, params, store)
    catalog.mark_latest(store)
    write_json(catalog, out)
    emit(catalog, catalog.digest if as_json else _told(catalog, store), as_json=as_json)


def _told(catalog: SceneCatalog, store: ObjectStore) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from siamese.ingest import read_catalog

    counts = Table("verdict", "scenes")
    counts.columns[1].justify = "right"
    for verdict in ("accepted", "unlabelled", "quarantined"):
        counts.add_row(verdict, f"{getattr(catalog, verdict):,}")
    buildings = ", ".join(f"{count:,} {subtype}" for subtype, count in catalog.buildings.items())
    lines = [f"buildings in accepted scenes: {buildings}", f"objects ignored: {catalog.ignored:,}"]
    told: list[RenderableType] = [counts, *map(Text, lines)]
    if catalog.quarantined:
        refused = Table("quarantined", "reasons")
        shown = 0
        for scene in read_catalog(store, catalog):
            if scene.verdict == "quarantined" and shown < _SHOWN:
                shown += 1
                refused.add_row(Text(scene.scene), Text("\n".join(scene.reasons)))
        told.append(refused)
        if catalog.quarantined > shown:
            told.append(Text(f"and {catalog.quarantined - shown:,} more, all in {catalog.table.uri}"))
    return Group(*told, Text(f"catalog {catalog.digest}: {catalog.uri(store)}"))
