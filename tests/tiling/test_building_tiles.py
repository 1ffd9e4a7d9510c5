"""Vector tiles hold every building with its properties, read back by GDAL."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely
from builders.made_page import Town

from siamese.tiling.buildings import LAYER, write_building_tiles


def table(town: Town, path: Path) -> Path:
    """The published buildings of a town."""
    buildings = town.buildings()
    columns = town.table(buildings).append_column("id", pa.array(buildings.ids))
    pq.write_table(columns.append_column("geometry", pa.array(shapely.to_wkb(buildings.geometry).tolist())), path)
    return path


def test_every_building_is_in_the_tiles(tmp_path: Path) -> None:
    town = Town(120)
    source = table(town, tmp_path / "buildings.parquet")
    assert write_building_tiles(source, tmp_path / "buildings.pmtiles", name="town")
    found = pyogrio.read_dataframe(tmp_path / "buildings.pmtiles", layer=LAYER)
    first = found.drop_duplicates("id").set_index("id")
    buildings = town.buildings()
    assert set(first.index) == set(buildings.ids)
    for place in (0, 60, 119):
        name = buildings.ids[place]
        whole = shapely.union_all(found[found["id"] == name].to_crs(4326).geometry.values)
        shared = shapely.area(shapely.intersection(whole, buildings.geometry[place]))
        assert shared / shapely.area(buildings.geometry[place]) > 0.9
        assert bool(first.loc[name, "review"]) == (town.probabilities[place].max() * 0.95 < 0.6)
    assert write_building_tiles(source, tmp_path / "again.pmtiles", name="town")
    assert (tmp_path / "again.pmtiles").read_bytes() == (tmp_path / "buildings.pmtiles").read_bytes()


def test_no_building_no_tiles(tmp_path: Path) -> None:
    source = table(Town(1), tmp_path / "one.parquet")
    pq.write_table(pq.read_table(source).slice(0, 0), tmp_path / "none.parquet")
    assert not write_building_tiles(tmp_path / "none.parquet", tmp_path / "buildings.pmtiles", name="town")
    assert not (tmp_path / "buildings.pmtiles").exists()
