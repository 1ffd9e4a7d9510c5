"""The verb ``view``: writes a map as a folder that a browser opens."""

from __future__ import annotations

import hashlib
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from siamese.adaptation.buildings import MapBuildings, read_map_buildings
from siamese.adaptation.lineage import Lineage, trace, vectors_of
from siamese.adaptation.model import directions_of
from siamese.embedding.reopening import map_parts, reopened
from siamese.errors import SiameseError
from siamese.manifests import DamageMap, EmbeddingIndex
from siamese.mapping.task import Images
from siamese.params import AdaptationParams, EmbeddingParams
from siamese.progress import LOGGER
from siamese.store import ObjectStore
from siamese.viewing.data import (
    COLUMNS,
    FORMAT,
    OPTIONAL,
    Teaching,
    absent,
    write_about,
    write_buildings,
    write_dates,
    write_teaching,
)
from siamese.viewing.folders import ABOUT_FILE, UNFINISHED, check_folder, copy_page, fill


@dataclass(frozen=True)
class ViewParams:
    """What a page is made of."""

    adaptation: AdaptationParams
    embedding: EmbeddingParams
    imagery: bool = True
    """Whether the images of both dates are in it."""
    teach: bool = True
    """Whether it has the vectors that labels are learned with; made by the map's network if nobody has them yet."""


def write_view(
    damage_map: DamageMap, folder: Path, params: ViewParams, store: ObjectStore, *, index: EmbeddingIndex | None = None
) -> None:
    """Writes the page of a map to a folder: whole, or not at all.

    Args:
        damage_map: The map.
        folder: Must not exist, be empty, or hold the page of a map, which is replaced.
        params: What the page is made of.
        store: Where the map, its images and vectors lie.
        index: Vectors to take instead of the map's own.

    Raises:
        SiameseError: The folder holds other things, or an object of the map is missing or damaged.
    """
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=folder) as unfinished:
        page = Path(unfinished)
        _write(damage_map, page, params, store, index)
        fill(folder, page)


def kept_view(
    damage_map: DamageMap, params: ViewParams, store: ObjectStore, *, index: EmbeddingIndex | None = None
) -> Path:
    """Returns the folder of a map's page in the cache, and writes it if it is not there.

    Args:
        damage_map: The map.
        params: What the page is made of.
        store: Where the map, its images and vectors lie.
        index: Vectors to take instead of the map's own.
    """
    told = f"{FORMAT} {params} {index.digest if index else ''}"
    name = f"{damage_map.digest}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
    folder = store.settings.cache / "view" / name
    if (folder / ABOUT_FILE).is_file():
        copy_page(folder)
    else:
        write_view(damage_map, folder, params, store, index=index)
    return folder


def _write(
    damage_map: DamageMap, folder: Path, params: ViewParams, store: ObjectStore, index: EmbeddingIndex | None
) -> None:
    buildings = read_map_buildings(damage_map, store)
    lineage = trace(damage_map, store) if len(buildings) else None
    root = lineage.root if lineage else damage_map
    data = damage_map.buildings.read(store)
    there = pq.read_schema(io.BytesIO(data)).names
    table = pq.read_table(io.BytesIO(data), columns=[*COLUMNS, *(name for name in OPTIONAL if name in there)])
    parts: dict[str, Any] = write_buildings(folder, buildings, table)
    parts["imagery"] = _imagery(root, buildings, folder, store) if params.imagery else absent("left out")
    parts["teach"] = _teach(lineage, folder, params, store, index)
    copy_page(folder)
    write_about(folder, _about(damage_map, root), params.adaptation, parts)


def _about(damage_map: DamageMap, root: DamageMap) -> dict[str, Any]:
    # Whatever else a map's manifest states, such as how far it may be trusted, is shown as it stands.
    fields = damage_map.model_dump(mode="json")
    names = ("event", "model", "checkpoint", "further", "pre", "post", "crs", "bounds", "width", "height")
    more = ("unknown_share", "counts", "parent", "labels", "warnings", "trust", "created", "revision")
    shares = ("alignment", "footprint_alignment")
    told = {name: fields[name] for name in (*names, *more, *shares) if fields.get(name) is not None}
    return {"digest": damage_map.digest, "root": root.digest, "map": told}


def _imagery(root: DamageMap, buildings: MapBuildings, folder: Path, store: ObjectStore) -> dict[str, Any]:
    try:
        with reopened(map_parts(root, store), store) as imagery:
            dates: dict[str, Images] = {"pre": imagery.pre.mosaic, "post": imagery.aligned_post}
            return write_dates(folder, buildings.grid, dates, root.event)
    except SiameseError as error:
        LOGGER.warning(f"the page shows no imagery: {error.what}")
        return absent(error.what)


def _teach(
    lineage: Lineage | None,
    folder: Path,
    params: ViewParams,
    store: ObjectStore,
    index: EmbeddingIndex | None,
) -> dict[str, Any]:
    if lineage is None:
        return absent("the map has no buildings")
    current = lineage.current(store)
    there = lineage.places_of(current)
    labels = {place: one.damage_class for place, one in sorted(lineage.labels_of(current).items())}
    adapted = None if lineage.map.digest == lineage.root.digest else current.probabilities
    teaching = Teaching(lineage.buildings.take(there), lineage.root.buildings.sha256, labels, adapted)
    if not params.teach:
        return write_teaching(folder, teaching, why="left out")
    try:
        along = directions_of(vectors_of(lineage, params.embedding, store, index), params.adaptation)[there]
    except SiameseError as error:
        LOGGER.warning(f"the page cannot learn from labels: {error.what}")
        return write_teaching(folder, teaching, why=error.what)
    return write_teaching(folder, teaching, along)
