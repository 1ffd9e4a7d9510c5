"""Labels of people in scenes that have none of their own: what they say about each, in its pixels."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import pyarrow.parquet as pq
import pyproj
import shapely
from numpy.typing import NDArray
from pyproj.exceptions import CRSError
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from siamese.classes import BACKGROUND, DAMAGE_CLASSES, SUBTYPES, UNCLASSIFIED
from siamese.errors import NotPublishedError, SiameseError
from siamese.geo.globe import WGS84
from siamese.ingest.catalog import Scene
from siamese.manifests import DamageMap, LabelSet
from siamese.pairs.masks import Mask, burn, training_mask
from siamese.progress import LOGGER
from siamese.store import ObjectStore

_SUBTYPES: Final = {DAMAGE_CLASSES[value - 1]: subtype for subtype, value in SUBTYPES.items() if value != UNCLASSIFIED}
_SAME: Final = 0.5
"""Share of the smaller of two footprints that both cover, above which they are one building."""
_INSIDE: Final = 0.5
"""Share of a labelled footprint that must lie in a scene."""
_MARGIN_PX: Final = 8.0
"""Around a mapped building that nobody labelled, so far the ground is unknown too."""

Geometries = NDArray[np.object_]


@dataclass(frozen=True)
class LabelledBuilding:
    """A building of a map with the class that a person gave it."""

    uid: str
    damage_class: str
    """One of :data:`siamese.classes.DAMAGE_CLASSES`, or another word for no building."""
    footprint: BaseGeometry
    """In pixels of the scene, x = column, y = row."""

    @property
    def subtype(self) -> str | None:
        """XBD's name of its class; None if it is no building."""
        return _SUBTYPES.get(self.damage_class)


@dataclass(frozen=True)
class PartialLabels:
    """What people said about a scene."""

    labelled: tuple[LabelledBuilding, ...]
    others: tuple[BaseGeometry, ...]
    """Mapped buildings that nobody labelled, in pixels."""

    def mask(self, height: int, width: int) -> Mask:
        """Returns the mask to learn from: labelled buildings have their class, other mapped ones are ignored.

        Args:
            height: Rows of the scene.
            width: Columns of the scene.

        Returns:
            (height, width) uint8: 0 background and what is no building, 1-4 damage, 255 within 8 px of other buildings.
        """
        grown = [shapely.buffer(one, _MARGIN_PX, join_style="mitre") for one in self.others]
        mask = burn(((one, UNCLASSIFIED) for one in grown), height, width)
        absent = burn(((one.footprint, 1) for one in self.labelled if one.subtype is None), height, width)
        mask[absent > 0] = BACKGROUND
        known = training_mask(((one.footprint, one.subtype) for one in self.labelled if one.subtype), height, width)
        return np.where(known > 0, known, mask)


@dataclass(frozen=True)
class People:
    """All labels of people that add to a catalog."""

    scenes: dict[str, PartialLabels]
    identity: str | None
    """Hash of the label sets used; None without any."""


def labels_of_people(chosen: str | Sequence[str], scenes: Iterable[Scene], store: ObjectStore) -> People:
    """Reads which buildings of scenes without labels people have labelled.

    A label set belongs to a scene whose name it carries, or on whose ground its buildings stand. Where two sets label
    one building, the later one counts.

    Args:
        chosen: ``all``, ``none``, or digests of label sets.
        scenes: Scenes of a catalog; only unlabelled ones are looked at, and none if there are no label sets.
        store: Holds the label sets and their maps.

    Raises:
        SiameseError: A chosen label set does not exist, or an object is missing or damaged.
    """
    sets = _sets(chosen, store)
    found: dict[str, PartialLabels] = {}
    used: set[str] = set()
    if sets:
        tables = {one.digest: _rows(one, store) for one in sets}
        maps = {one.map: _mapped(one, store) for one in sets}
        for scene in scenes:
            if scene.verdict == "unlabelled" and scene.width and scene.height:
                partial, from_sets = _partial(scene, sets, tables, maps)
                if partial:
                    found[scene.scene] = partial
                    used.update(from_sets)
    contents = sorted(one.content for one in sets if one.digest in used)
    identity = hashlib.sha256(" ".join(contents).encode()).hexdigest()[:16] if contents else None
    return People(found, identity)


def _sets(chosen: str | Sequence[str], store: ObjectStore) -> tuple[LabelSet, ...]:
    if chosen == "none":
        return ()
    if chosen == "all":
        return LabelSet.every(store)
    sets = [LabelSet.load(store, digest) for digest in chosen]
    return tuple(sorted(sets, key=lambda one: one.made))


Rows = list[dict[str, Any]]
Mapped = tuple[DamageMap, tuple[str, ...], Geometries]


def _rows(labels: LabelSet, store: ObjectStore) -> Rows:
    rows: Rows = pq.read_table(io.BytesIO(labels.table.read(store))).to_pylist()
    return rows


def _mapped(labels: LabelSet, store: ObjectStore) -> Mapped | None:
    """Returns the map that was labelled with the ids and outlines of its buildings; None if it is gone."""
    try:
        damage_map = DamageMap.load(store, labels.map)
    except NotPublishedError:
        return None
    table = pq.read_table(io.BytesIO(damage_map.buildings.read(store)), columns=["id", "geometry"])
    outlines = shapely.from_wkb(np.array(table["geometry"].to_pylist(), object))
    return damage_map, tuple(table["id"].to_pylist()), np.asarray(outlines, object).reshape(-1)


def _partial(
    scene: Scene, sets: Sequence[LabelSet], tables: dict[str, Rows], maps: dict[str, Mapped | None]
) -> tuple[PartialLabels | None, list[str]]:
    frame = shapely.box(0, 0, scene.width or 0, scene.height or 0)
    labelled: list[LabelledBuilding] = []
    used, outlines, gone = [], [], False
    for labels in sets:
        mapped = maps[labels.map]
        rows = tables[labels.digest]
        there = _in_pixels(labels.crs, [row["geometry"] for row in rows], scene, labels, mapped)
        if there is None:
            continue
        inside = shapely.area(shapely.intersection(there, frame)) >= _INSIDE * np.maximum(shapely.area(there), 1e-9)
        new = [
            LabelledBuilding(str(row["building"]), str(row["damage_class"]), shape)
            for row, shape, within in zip(rows, there, inside, strict=True)
            if within
        ]
        if not new:
            continue
        labelled = [*_not_among(labelled, new), *new]
        used.append(labels.digest)
        if mapped is None:
            gone = True
        else:
            damage_map, _, geometry = mapped
            crs = WGS84 if damage_map.crs else None
            drawn = _in_pixels(crs, shapely.to_wkb(geometry).tolist(), scene, labels, mapped)
            outlines += [] if drawn is None else [shape for shape in drawn if shape.intersects(frame)]
    if not labelled:
        return None, []
    # Without its map nobody knows where else there are buildings.
    others = [frame] if gone else list(_apart(outlines, [one.footprint for one in labelled]))
    return PartialLabels(tuple(labelled), tuple(others)), used


def _in_pixels(
    crs: str | None, shapes: Sequence[bytes], scene: Scene, labels: LabelSet, mapped: Mapped | None
) -> Geometries | None:
    """Returns shapes in pixels of a scene; None if they cannot be placed on it."""
    found = np.asarray(shapely.from_wkb(np.array(shapes, object)), object).reshape(-1)
    if crs is None:
        size = mapped and (mapped[0].width, mapped[0].height)
        return found if labels.scene == scene.scene and size in (None, (scene.width, scene.height)) else None
    if scene.crs is None or scene.affine is None:
        if labels.scene == scene.scene and mapped is not None:
            LOGGER.warning(
                f"label set {labels.digest} by {labels.author} is of scene {scene.scene} but is not used: its map was "
                f"placed on the ground, the catalogued scene has no georeference; ingest the scene with one"
            )
        return None
    inverse = ~scene.affine
    try:
        change = pyproj.Transformer.from_crs(crs, scene.crs, always_xy=True)
    except CRSError as error:
        raise SiameseError(
            f"has coordinates that cannot be placed: {error}", where=f"label set {labels.digest}", fix="leave it out"
        ) from error

    def placed(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
        there: tuple[float, float] = inverse @ change.transform(x, y)
        return there

    # The stubs know only functions of one array.
    moved: Any = shapely.transform(found, cast("Any", placed), interleaved=False)
    return np.asarray(moved, np.object_)


def _not_among(old: Sequence[LabelledBuilding], new: Sequence[LabelledBuilding]) -> Iterator[LabelledBuilding]:
    kept = set(map(id, _apart([one.footprint for one in old], [one.footprint for one in new])))
    return (one for one in old if id(one.footprint) in kept)


def _apart(shapes: Sequence[BaseGeometry], others: Sequence[BaseGeometry]) -> Iterator[BaseGeometry]:
    """Yields the shapes that are none of the buildings that others show."""
    tree = shapely.STRtree(others or [Polygon()])
    for shape in shapes:
        near = [others[position] for position in tree.query(shape, predicate="intersects").tolist()]
        limit = [_SAME * min(shape.area, one.area) for one in near]
        if all(shape.intersection(one).area <= least for one, least in zip(near, limit, strict=True)):
            yield shape
