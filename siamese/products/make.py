"""Makes the products of a map on local disk from its class raster and its table of buildings."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from siamese.geo import GDAL_OPTIONS, local_gdal
from siamese.manifests import Assessment
from siamese.products.chips import ReadSquare, sample_chips
from siamese.products.confidence import write_confidence, write_reasons
from siamese.products.facts import MapFacts
from siamese.products.geopackage import write_geopackage
from siamese.products.known_error import KnownError
from siamese.products.report import compose
from siamese.products.report_html import print_html
from siamese.products.report_pdf import print_pdf
from siamese.products.stac import ASSETS
from siamese.products.summary import Areas, Summary, summarise, summary_csv, write_areas
from siamese.tiling.buildings import write_building_tiles


@dataclass(frozen=True)
class Reasons:
    """Why pixels of a map are unknown."""

    raster: Path
    """uint8 codes, 0 where the map is not unknown."""
    names: dict[int, str]
    """Name of each code."""
    colours: dict[int, tuple[int, int, int]]
    """RGB of each code."""


@dataclass(frozen=True)
class MapSources:
    """What the products of a map are made from, on local disk."""

    classes: Path
    """The class raster, as published."""
    buildings: Path
    """The GeoParquet, as published."""
    picture: bytes
    """PNG."""
    read: ReadSquare | None = None
    """Reads the images of both dates; None where they are gone."""
    known: KnownError | None = None
    """Errors that the model is known to make."""
    reasons: Reasons | None = None
    areas: Areas | None = None
    """Areas to count in; None: H3 cells."""
    shifts: Mapping[str, Path] = field(default_factory=dict)
    """Layers of shifts by blocks, by their names in :data:`siamese.products.stac.ASSETS`; they are published as is."""
    assessment: Assessment | None = None
    """What a person found out about the map."""


def make_products(facts: MapFacts, sources: MapSources, h3_resolution: int, folder: Path) -> dict[str, Path]:
    """Writes the products of a map; the same map gives the same bytes.

    Args:
        facts: What is known of the map.
        sources: What they are made from.
        h3_resolution: Of the cells that buildings are counted in, where no areas were given.
        folder: Folder for the files; working files stay there.

    Returns:
        The files, by the names of :data:`siamese.products.stac.ASSETS`.
    """
    about = {"EVENT": facts.map.event, "MODEL": facts.map.model}
    with ThreadPoolExecutor(1) as pool:
        # GDAL compresses rasters in C, so vectors are written meanwhile.
        rasters = pool.submit(_write_rasters, sources, about, folder)
        summary = summarise_map(facts, sources, h3_resolution)
        vectors = _write_vectors(facts, sources, summary, about, folder)
        report = make_report(facts, sources, summary, folder)
        return rasters.result() | vectors | report | dict(sources.shifts)


def _write_rasters(sources: MapSources, about: Mapping[str, str], folder: Path) -> dict[str, Path]:
    files = {"confidence": folder / ASSETS["confidence"].file}
    with local_gdal(**GDAL_OPTIONS):
        write_confidence(sources.classes, sources.buildings, files["confidence"], folder)
        if sources.reasons is not None:
            files["reasons"] = folder / ASSETS["reasons"].file
            write_reasons(
                sources.reasons.raster,
                files["reasons"],
                folder,
                sources.reasons.names,
                sources.reasons.colours,
                about,
            )
    return files


def _write_vectors(
    facts: MapFacts, sources: MapSources, summary: Summary, about: Mapping[str, str], folder: Path
) -> dict[str, Path]:
    placed = facts.map.crs is not None
    table = summary_csv([summary.whole], area=False)
    files = {"summary": _written(folder / ASSETS["summary"].file, table.encode())}
    if placed:
        files["summary_areas"] = folder / ASSETS["summary_areas"].file
        write_areas(summary, files["summary_areas"])
        table = summary_csv(summary.areas, area=True)
        files["summary_areas_csv"] = _written(folder / ASSETS["summary_areas_csv"].file, table.encode())
        tiles = folder / ASSETS["tiles"].file
        if write_building_tiles(sources.buildings, tiles, name=facts.map.event):
            files["tiles"] = tiles
    files["geopackage"] = folder / ASSETS["geopackage"].file
    write_geopackage(
        sources.buildings,
        files["geopackage"],
        placed=placed,
        about=about,
        areas=files.get("summary_areas"),
        shifts=sources.shifts,
    )
    return files


def summarise_map(facts: MapFacts, sources: MapSources, h3_resolution: int) -> Summary:
    """Counts the buildings of a map."""
    placed = facts.map.crs is not None
    return summarise(
        sources.buildings, placed=placed, known=sources.known, areas=sources.areas, h3_resolution=h3_resolution
    )


def make_report(facts: MapFacts, sources: MapSources, summary: Summary, folder: Path) -> dict[str, Path]:
    """Writes the report of a map as HTML and as PDF.

    Returns:
        The files, by the names of :data:`siamese.products.stac.ASSETS`.
    """
    with local_gdal(**GDAL_OPTIONS):
        chips = sample_chips(sources.classes, sources.buildings, sources.read) if sources.read else ()
    report = compose(facts, summary, sources.picture, chips, sources.assessment)
    return {
        "report_html": _written(folder / ASSETS["report_html"].file, print_html(report)),
        "report_pdf": _written(folder / ASSETS["report_pdf"].file, print_pdf(report, facts.made)),
    }


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
