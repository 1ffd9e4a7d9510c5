"""Buildings of a map as vector tiles for any web map, by GDAL's own writer of PMTiles."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio

LAYER: Final = "buildings"
_FINEST: Final = 16
"""Vector tiles stay sharp beyond their finest zoom; at 16 a tile's unit is about 15 cm."""
_COARSEST: Final = 10
_LEFT_OUT: Final = ("geometry", "bbox")


def write_building_tiles(buildings: Path, target: Path, *, name: str) -> bool:
    """Writes ``buildings.pmtiles`` with the layer ``buildings``: every column of the table as a property.

    Args:
        buildings: The map's GeoParquet, in degrees.
        target: The archive; one that exists is replaced.
        name: Of the map, for the archive's metadata.

    Returns:
        Whether there is anything in it: without buildings no file is written.
    """
    with pq.ParquetFile(buildings) as file:
        if file.metadata.num_rows == 0:
            return False
        table = file.read()
    kept = [column for column in table.column_names if column not in _LEFT_OUT]
    plain = table.select([*kept, "geometry"])
    for place, field in enumerate(plain.schema):
        if pa.types.is_nested(field.type):  # e.g. a list of reasons
            texts = [None if value is None else ",".join(map(str, value)) for value in plain[field.name].to_pylist()]
            plain = plain.set_column(place, field.name, pa.array(texts))
    target.unlink(missing_ok=True)
    # GDAL builds the tiles in a working file beside the target.
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / "buildings.pmtiles"
        pyogrio.write_arrow(
            plain,
            made,
            driver="PMTiles",
            layer=LAYER,
            geometry_name="geometry",
            geometry_type="Unknown",
            crs="EPSG:4326",
            dataset_options={"MINZOOM": str(_COARSEST), "MAXZOOM": str(_FINEST), "NAME": name, "EXTENT": "4096"},
        )
        made.rename(target)
    return True
