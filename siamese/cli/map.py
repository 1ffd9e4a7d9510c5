"""``siamese map``: turns imagery of two dates into a damage map."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from siamese.allocator import keep_few_arenas
from siamese.classes import DISASTER_TYPES
from siamese.cli.common import DEFAULT_PARAMS, Json, Overrides, ParamsFile, check_handover, check_images, emit
from siamese.cli.report import Areas
from siamese.errors import SiameseError

if TYPE_CHECKING:
    from siamese.manifests import DamageMap
    from siamese.store import ObjectStore

_CHAMPION = "models:/siamese-damage@champion"
_IMAGERY = (
    "A PNG or GeoTIFF, a folder or glob of tiles, an s3:// or https:// address, or a STAC item, collection or catalog "
    "(.json) anywhere; repeat for more."
)


def map(  # noqa: A001 - the verb's name
    pre: Annotated[list[str], typer.Option(metavar="IMAGE", help=f"Before the disaster. {_IMAGERY}")],
    post: Annotated[list[str], typer.Option(metavar="IMAGE", help=f"After the disaster. {_IMAGERY}")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder that the map's files are copied to.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URI",
            help="models:/NAME@champion, models:/NAME/VERSION, latest, a checkpoint's digest, s3://… or what "
            f"`train --out` wrote; by default {_CHAMPION}. Repeat it for an ensemble: probabilities are averaged.",
        ),
    ] = None,
    event: Annotated[
        str | None, typer.Option(help="Name of the disaster; by default an xBD scene's, else where the map lies.")
    ] = None,
    new_place: Annotated[
        bool, typer.Option("--new-place", help="The event's current map may show another place than this one.")
    ] = False,
    crs: Annotated[
        str | None,
        typer.Option(help="CRS of images that have coordinates but name none, such as EPSG:32613; others keep theirs."),
    ] = None,
    aoi: Annotated[
        str | None,
        typer.Option(
            metavar="AREA",
            help="Map only this area: a file, s3:// object or https:// address of polygons (GeoJSON, GeoPackage, …), "
            "or west,south,east,north in degrees.",
        ),
    ] = None,
    footprints: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Building footprints, each of which gets a class or is unknown and keeps its id: GeoJSON, GeoPackage, "
            "GeoParquet, shapefile or OpenStreetMap extract, as a file, s3:// object or https:// address; or a folder "
            "or prefix of GeoParquet such as Overture's.",
        ),
    ] = None,
    disaster_date: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="Day of the disaster: of STAC catalogs, --pre reads items from before it, --post later ones.",
        ),
    ] = None,
    gsd: Annotated[
        str | None,
        typer.Option(metavar="METRES", help="Pixels of the map in metres, or `learned`; by default the finer date's."),
    ] = None,
    disaster_type: Annotated[
        str | None, typer.Option(help=f"What struck: {', '.join(DISASTER_TYPES[1:])}. For networks trained with it.")
    ] = None,
    areas: Areas = None,
    as_json: Json = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    overrides: Overrides = None,
) -> None:
    """Map building damage from images before and after a disaster.

    The map covers the pre images, in their CRS (in UTM if theirs is in degrees), north up, at the resolution of the
    finer date; images on another grid are resampled, and post images that lie apart are aligned, which is reported in
    one line. Where either date has no data, or shows cloud, haze, blur and the like, the map is unknown with its
    reason, and so are the buildings there. Both dates the same, or pixels in which no building can be judged, are
    refused before the network runs. Georeferences are read from GeoTIFFs, ground
    control points, .aux.xml, and world files with .prj beside the image. Images without one must be a single pair of
    the same size: an xBD label beside the PNG places it on the ground, otherwise the map is in pixels.

    Written to DIR, and published in the bucket `maps`: damage.tif (cloud-optimised GeoTIFF: 0 background, 1-4 no,
    minor, major damage, destroyed, 255 unknown), buildings.parquet (GeoParquet) and buildings.geojson with class and
    probabilities of each building, map.gpkg (GeoPackage with a QGIS style), confidence.tif, reasons.tif, summary.csv,
    areas.parquet and areas.csv (counts with intervals), buildings.pmtiles (vector tiles), report.html and report.pdf,
    a STAC item.json, collection.json and model.json, picture.png, and map.json, the manifest; shifts.geojson and
    footprint_shifts.geojson, how far the post images lie from the pre images and all images from the footprints.
    Predictions are kept block by block in the bucket `lake`: an interrupted map resumes, and changed params of
    buildings or files do not run the network again.
    """
    from siamese.params import load_params
    from siamese.store import ObjectStore

    if disaster_type is not None and disaster_type not in DISASTER_TYPES:
        raise SiameseError("no such disaster type", where=disaster_type, fix=f"one of {', '.join(DISASTER_TYPES)}")
    check_handover(out)
    chosen = [*(overrides or ()), *([f"mapping.gsd={gsd}"] if gsd is not None else [])]
    chosen += [f"mapping.areas={areas}"] if areas is not None else []
    store, params = ObjectStore(), load_params(params_file, chosen).mapping
    if crs is not None:
        params = params.model_copy(update={"crs": crs})
    for date, given in (("pre", pre), ("post", post)):
        check_images(given, date)
        _check_apart(out, given, date)
    # Headers next: this reads images, but needs no network.
    from siamese.mapping.area import find_area
    from siamese.mapping.inputs import check_files
    from siamese.mapping.shape_files import find_shapes

    keep_few_arenas()
    check_files(pre, post, store)
    if aoi is not None:
        find_area(aoi, store)
    if footprints is not None:
        find_shapes(footprints, "--footprints", store)
    # Imported last, as these take seconds: errors above are reported at once.
    from siamese.mapping import map_pair
    from siamese.registry import model_name, resolve_model

    models = model or [_CHAMPION]
    first, *further = checkpoints = [resolve_model(uri, store) for uri in models]
    name = " + ".join(model_name(uri, one, store) for uri, one in zip(models, checkpoints, strict=True))
    made = map_pair(
        pre,
        post,
        first,
        params,
        store,
        further=further,
        event=event,
        disaster_type=disaster_type,
        model=name,
        aoi=aoi,
        footprints=footprints,
        disaster_date=disaster_date.date() if disaster_date is not None else None,
    )
    files = copy_map(made, out, store)
    made.mark_current(store, new_place=new_place)
    emit(made, _told(made, files), as_json=as_json)


def _check_apart(out: Path, given: list[str], date: str) -> None:
    """Refuses to write results where the next run would read them as images."""
    for one in given:
        place = Path(one).parent if any(mark in one for mark in "*?[") else Path(one)
        if place.is_dir() and place.resolve() == out.resolve():
            fix = "name another folder: the map's rasters would be read as images the next time"
            raise SiameseError(f"is the folder of --{date}", where=f"--out {out}", fix=fix)


def copy_map(made: DamageMap, out: Path, store: ObjectStore) -> list[Path]:
    """Copies a map's files and its manifest to a folder and returns their paths."""
    from siamese.cli.report import copy_files
    from siamese.products.stac import map_files

    documents = {name: blob for name, blob in made.products.items() if name.startswith("stac_")}
    return copy_files(made, map_files(made) | documents, out, store)


def _told(made: DamageMap, files: list[Path]) -> str:
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in made.counts.items())
    place = f"{made.crs}, {made.width} x {made.height} px"
    if made.crs is None:
        place = f"{made.width} x {made.height} px; the imagery has no georeference, so coordinates are pixels"
    lines = [
        f"{made.event}: {sum(made.counts.values()):,} buildings ({counts})",
        f"  {place}; {made.unknown_share:.1%} unknown; by {made.model}",
        *(f"  warning: {warning}" for warning in made.warnings),
        *(f"  trust: {line}" for line in (made.trust.statements if made.trust else ())),
        *(f"  {path}" for path in files),
    ]
    return "\n".join(lines)
