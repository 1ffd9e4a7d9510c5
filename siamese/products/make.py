"""Makes the products of a map on local disk from its class raster and its table of buildings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from siamese.geo import GDAL_OPTIONS, local_gdal
from siamese.products.confidence import write_confidence, write_reasons
from siamese.products.facts import MapFacts
from siamese.products.geopackage import write_geopackage
from siamese.products.stac import ASSETS


@dataclass(frozen=True)
class Reasons:
    """Why pixels of a map are unknown."""

    raster: Path
    """uint8 codes, 0 where the map is not unknown."""
    names: dict[int, str]
    """Name of each code."""


def make_products(
    facts: MapFacts, classes: Path, buildings: Path, folder: Path, *, reasons: Reasons | None = None
) -> dict[str, Path]:
    """Writes the products of a map; the same map gives the same bytes.

    Args:
        facts: What is known of the map.
        classes: Its class raster.
        buildings: Its GeoParquet.
        folder: Folder for the files; working files stay there.
        reasons: Why pixels are unknown, if that was found out.

    Returns:
        The files, by the names of :data:`siamese.products.stac.ASSETS`.
    """
    made = facts.map
    about = {"EVENT": made.event, "MODEL": made.model}
    files = {}
    with local_gdal(**GDAL_OPTIONS):
        files["confidence"] = folder / ASSETS["confidence"].file
        write_confidence(classes, buildings, files["confidence"], folder)
        if reasons is not None:
            files["reasons"] = folder / ASSETS["reasons"].file
            write_reasons(reasons.raster, files["reasons"], folder, reasons.names, about)
    files["geopackage"] = folder / ASSETS["geopackage"].file
    write_geopackage(buildings, files["geopackage"], placed=made.crs is not None, about=about)
    return files
