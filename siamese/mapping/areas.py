"""Areas that people give to count buildings in, such as districts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from siamese.errors import SiameseError
from siamese.mapping.polygons import Shapes, left_out, no_polygon
from siamese.mapping.shape_files import ShapeSource, find_shapes
from siamese.mapping.shapes import read_shapes
from siamese.params import PublishParams
from siamese.products.summary import Areas
from siamese.progress import LOGGER
from siamese.store import ObjectStore


@dataclass(frozen=True)
class AreaFile:
    """Polygons to count buildings in, found but not read yet."""

    source: ShapeSource
    name: str | None
    """Column that names them."""

    @property
    def identity(self) -> str:
        """Equal identities mean equal polygons."""
        return self.source.identity

    def read(self, store: ObjectStore, folder: Path) -> Areas:
        """Reads the polygons.

        Raises:
            SiameseError: The file is damaged, holds no polygon, or lacks the column.
        """
        found = _named(self.source, self.name, store, folder / "areas")
        where = f"--areas {self.source.name}"
        if not len(found.geometries):
            raise no_polygon(where, found.skipped, "give polygons of districts, blocks or the like")
        for note in left_out(where, found.skipped):
            LOGGER.warning(note)
        return Areas(_apart(found.ids), found.geometries)


def bring_areas(params: PublishParams, crs: str | None, store: ObjectStore) -> AreaFile | None:
    """Finds the areas that buildings are to be counted in; None for H3 cells.

    Raises:
        SiameseError: There is no such file, or the map has no georeference.
    """
    if params.areas is None:
        return None
    if crs is None:
        what = "cannot be placed: the imagery has no georeference"
        raise SiameseError(what, where=f"--areas {params.areas}", fix="give georeferenced images, or leave it out")
    return AreaFile(find_shapes(params.areas, "--areas", store), params.area_name)


def _named(source: ShapeSource, name: str | None, store: ObjectStore, folder: Path) -> Shapes:
    if name is None:
        with suppress(SiameseError):
            return read_shapes(source, store, folder, id_column="name")
    return read_shapes(source, store, folder, id_column=name)


def _apart(names: Sequence[str]) -> tuple[str, ...]:
    """Returns names of which no two are equal: a second Springfield becomes ``Springfield (2)``."""
    counts: Counter[str] = Counter()
    found = []
    for name in names:
        counts[name] += 1
        found.append(name if counts[name] == 1 else f"{name} ({counts[name]})")
    return tuple(found)
