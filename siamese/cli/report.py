"""``siamese report`` and ``siamese export``: hand on what a map says, and its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from siamese.cli.common import DEFAULT_PARAMS, Json, Overrides, ParamsFile, check_handover, emit, write_json
from siamese.errors import SiameseError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from siamese.manifests import DamageMap
    from siamese.params import Params, PublishParams
    from siamese.store import Blob, ObjectStore

_MAP: Final = "An event, or a map's digest, address or map.json."
FORMATS: Final[dict[str, tuple[str, ...]]] = {
    "cog": ("damage", "confidence", "reasons"),
    "geoparquet": ("buildings", "summary_areas"),
    "geojson": ("geojson", "shifts", "footprint_shifts"),
    "gpkg": ("geopackage",),
    "pmtiles": ("tiles",),
    "csv": ("summary", "summary_areas_csv"),
    "picture": ("picture",),
    "report": ("report_html", "report_pdf"),
    "page": ("page",),
    "stac": ("stac_item", "stac_collection", "stac_model"),
}
"""Files of each format, by their names in the manifest."""

Areas = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Polygons to count buildings in: a file, s3:// object or https:// address; by default H3 cells.",
    ),
]


def report(
    damage_map: Annotated[str, typer.Argument(metavar="MAP", help=_MAP)],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for report.html, report.pdf and the tables.")],
    areas: Areas = None,
    as_json: Json = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
) -> None:
    """Print the report of a map: two pages, as HTML and PDF, with the counts as CSV.

    If a person has assessed the map with `siamese assess`, the newest assessment is part of it. Reports of older maps
    are made from their files; no network runs.
    """
    found, files, copied = _hand_on(damage_map, out, ("report", "csv"), areas, params_file, overrides)
    emit(_result(found, files), _told(found, copied), as_json=as_json)


def export(
    damage_map: Annotated[str, typer.Argument(metavar="MAP", help=_MAP)],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the files.")],
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="FORMAT", help=f"One of {', '.join(FORMATS)}; repeat for more, else all."),
    ] = None,
    areas: Areas = None,
    as_json: Json = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
) -> None:
    """Copy a map's files to a folder: for GIS, the web, catalogues and print.

    The STAC item in the folder names the files beside it. Maps of older versions get the files that they lack first.
    """
    wanted = tuple(formats or FORMATS)
    for one in wanted:
        if one not in FORMATS:
            raise SiameseError("no such format", where=f"--format {one}", fix=f"one of {', '.join(FORMATS)}")
    found, files, copied = _hand_on(damage_map, out, wanted, areas, params_file, overrides, asked=bool(formats))
    emit(_result(found, files), _told(found, copied), as_json=as_json)


def _hand_on(
    reference: str,
    out: Path,
    formats: Sequence[str],
    areas: str | None,
    params_file: Path,
    overrides: Sequence[str] | None,
    *,
    asked: bool = False,
) -> tuple[DamageMap, Mapping[str, Blob], list[Path]]:
    from siamese.params import PublishParams, load_params
    from siamese.store import ObjectStore

    check_handover(out)
    chosen = [*(overrides or ()), *([f"mapping.areas={areas}"] if areas is not None else [])]
    store, loaded = ObjectStore(), load_params(params_file, chosen)
    from siamese.adaptation.lineage import find_map
    from siamese.reporting import current_products, find_assessment

    params: PublishParams = loaded.mapping.part(PublishParams)
    made = find_map(reference, store)
    files = current_products(made, params, store, assessment=find_assessment(made, store))
    if "page" in formats:
        files = {**files, **_page(made, files, loaded, store, needed=len(formats) == 1)}
    for one in formats if asked else ():
        if not any(name in files for name in FORMATS[one]):
            fix = "maps without georeference or without buildings lack some formats; leave it out"
            raise SiameseError(f"has nothing in the format {one}", where=f"map {made.digest}", fix=fix)
    names = [name for one in formats for name in FORMATS[one] if name in files]
    return made, files, copy_files(made, {name: files[name] for name in names}, out, store)


def _page(
    made: DamageMap, files: Mapping[str, Blob], params: Params, store: ObjectStore, *, needed: bool
) -> Mapping[str, Blob]:
    """Returns the page of a map, and STAC documents that name it; nothing where the map is too large for one file."""
    from siamese.viewing.publishing import publish_page
    from siamese.viewing.verb import ViewParams

    page = publish_page(made, files, ViewParams(params.adaptation, params.embedding), store)
    if page is None and needed:
        fix = f"write it as a folder: `siamese view {made.event} --out DIR`"
        raise SiameseError("is too large for a page in one file", where=f"map {made.digest}", fix=fix)
    return page.products if page else {}


def copy_files(made: DamageMap, files: Mapping[str, Blob], out: Path, store: ObjectStore) -> list[Path]:
    """Copies files of a map to a folder, with its manifest; a STAC item there names the files beside it."""
    from siamese.products.stac import ASSETS, COLLECTION_FILE, ITEM_FILE, MODEL_FILE, local_documents
    from siamese.store import S3Uri

    copied = []
    for name, blob in files.items():
        if name in ASSETS:
            path = out / ASSETS[name].file
            store.download(S3Uri.parse(blob.uri), path)
            copied.append(path)
    if "stac_item" in files and "stac_collection" in files:
        here = [name for name in files if name in ASSETS]
        item, collection = (files[name].read(store) for name in ("stac_item", "stac_collection"))
        for name, data in zip((ITEM_FILE, COLLECTION_FILE), local_documents(item, collection, here), strict=True):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(data)
            copied.append(out / name)
    if "stac_model" in files:
        (out / MODEL_FILE).write_bytes(files["stac_model"].read(store))
        copied.append(out / MODEL_FILE)
    write_json(made, out / "map.json")
    return [*copied, out / "map.json"]


def _result(made: DamageMap, files: Mapping[str, Blob]) -> dict[str, object]:
    return {
        "map": made.digest,
        "event": made.event,
        "files": {name: blob.model_dump(mode="json") for name, blob in files.items()},
    }


def _told(made: DamageMap, copied: Sequence[Path]) -> str:
    return "\n".join([f"{made.event}: map {made.digest}", *(f"  {path}" for path in copied)])
