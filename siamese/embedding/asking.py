"""Questions to an index: an id, an image or a vector; and the pictures and outlines of the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow.parquet as pq
import shapely

from siamese.embedding.chips import SUFFIXES, around, load_image, read_chips, read_image
from siamese.embedding.outlines import bring_outlines, building_ids, fetch
from siamese.embedding.reopening import map_parts, reopened
from siamese.embedding.search import Hit, Searcher
from siamese.embedding.sheet import Picture, building_picture, class_colour, draw_sheet, image_picture
from siamese.embedding.vectors import Floats
from siamese.errors import SiameseError
from siamese.ingest.catalog import read_catalog
from siamese.manifests import DamageMap, EmbeddingIndex, PairSet, SceneCatalog
from siamese.mapping.workplace import workplace
from siamese.pairs.reader import PairReader
from siamese.params import EmbeddingParams
from siamese.store import ObjectStore

_CONTEXT: Final = 0.75
"""Ground around a building on the sheet, in lengths of its longer side."""


@dataclass(frozen=True, eq=False)
class Question:
    """What was asked.

    Attributes:
        kind: An id of the index, an image file, or a vector.
        text: As the person gave it.
        vector: ``(d,)``; None for an id.
    """

    kind: Literal["id", "image", "vector"]
    text: str
    vector: Floats | None = None


def understand(text: str, index: EmbeddingIndex, ids: Sequence[str]) -> Question:
    """Returns the kind of question that a text is; ids come first, then files, then numbers.

    Raises:
        SiameseError: It is a file that holds no vector, or text that is none of these.
    """
    if text in ids:
        return Question("id", text)
    path = Path(text)
    if path.suffix.lower() in SUFFIXES:
        if path.is_file():
            return Question("image", text)
        raise SiameseError("there is no such image, and no such id", where=text, fix=_ids_fix(ids))
    if path.suffix.lower() in (".npy", ".json") and path.is_file():
        return Question("vector", text, _vector_file(path))
    if text.lstrip().startswith("["):
        return Question("vector", "a vector", _numbers(text, "query vector"))
    raise SiameseError(f"has no vector with the id {text!r}", where=f"index of {index.source}", fix=_ids_fix(ids))


def image_vector(question: Question, index: EmbeddingIndex, params: EmbeddingParams, store: ObjectStore) -> Floats:
    """Encodes an image as the vectors of an index were.

    Raises:
        SiameseError: The index was made by another encoder than the params name, or by one that takes no single image.
    """
    if index.encoder.startswith("checkpoint "):
        fix = "embed the map with an encoder of images first, e.g. --encoder tf_efficientnet_lite0"
        raise SiameseError(
            "its vectors are of pairs of dates; an image has one", where=f"index of {index.source}", fix=fix
        )
    # Imported here, as PyTorch loads for seconds and other questions need no network.
    from siamese.embedding.encoders import load_encoder

    encoder = load_encoder(params, store)
    check_encoder(index, encoder.identity)
    found: Floats = encoder.embed(encoder.prepare(load_image(Path(question.text)))[None])[0]
    return found


def check_encoder(index: EmbeddingIndex, identity: str) -> None:
    """Refuses vectors of another model than an index was made by.

    Raises:
        SiameseError: The identities differ.
    """
    if index.encoder != identity:
        what = f"was made by {index.encoder}, not by {identity}; their vectors do not compare"
        raise SiameseError(what, where=f"index of {index.source}", fix="name its --encoder, or embed again")


def draw_answer(
    question: Question,
    hits: Sequence[Hit],
    searcher: Searcher,
    source: object,
    store: ObjectStore,
) -> bytes:
    """Draws the sheet of an answer.

    Args:
        question: What was asked.
        hits: What was found.
        searcher: The index.
        source: What the index was made from: a map, folder, catalog or pair set.
        store: Where it lies.

    Returns:
        PNG.

    Raises:
        SiameseError: The images are gone or have changed.
    """
    asked = [Hit(question.text, 0.0, searcher.row(question.text), {})] if question.kind == "id" else []
    asked = [replace(one, columns={key: column[one.row] for key, column in searcher.columns.items()}) for one in asked]
    pictures = _pictures([*asked, *hits], source, store)
    query = None
    if question.kind == "image":
        query = Picture(image_picture(load_image(Path(question.text))), Path(question.text).name, "query")
    elif asked:
        first = pictures.pop(0)
        query = replace(first, note=" · ".join(filter(None, ["query", first.note.partition(" · ")[2]])))
    asked_for = Path(question.text).name if question.kind == "image" else question.text
    title = f"{len(hits)} most like {asked_for}, with their distances"
    return draw_sheet(query, pictures, title)


def draw_buildings(
    made: DamageMap, notes: Mapping[str, str], title: str, store: ObjectStore, *, blind: bool = False
) -> bytes:
    """Draws a sheet of buildings of a map.

    Args:
        made: The map.
        notes: What is printed below each building, by its id.
        title: Of the sheet.
        store: Where the map and its images lie.
        blind: Do not show their mapped classes, for people who are to judge these.

    Returns:
        PNG.
    """
    return draw_sheet(None, _of_map(list(notes.items()), made, store, blind=blind), title)


def map_rows(made: DamageMap, ids: Sequence[str], store: ObjectStore) -> list[dict[str, Any]]:
    """Returns the rows of a map's buildings with these ids, in this order; geometry as WKB."""
    with workplace(store) as folder:
        path = fetch(made.buildings, folder / "buildings.parquet", store)
        found = pq.read_table(path, filters=[("id", "in", set(ids))]).to_pylist() if ids else []
    rows = {row["id"]: row for row in found}
    return [rows[name] for name in ids]


def answer_geojson(made: DamageMap, hits: Sequence[Hit], store: ObjectStore, name: str) -> dict[str, Any]:
    """Returns the found buildings of a map as a GeoJSON feature collection, the nearest first."""
    features = []
    for rank, (hit, row) in enumerate(zip(hits, map_rows(made, [hit.id for hit in hits], store), strict=True), start=1):
        geometry = json.loads(shapely.to_geojson(shapely.from_wkb(row.pop("geometry"))))
        row.pop("bbox", None)
        properties = {"rank": rank, "distance": round(hit.distance, 6), **row}
        features.append({"type": "Feature", "id": properties.pop("id"), "properties": properties, "geometry": geometry})
    head: dict[str, Any] = {"type": "FeatureCollection", "name": name}
    if made.crs is None:
        head["coordinates"] = "pixels from the upper left corner, x right, y down; the imagery has no georeference"
    return head | {"features": features}


def _pictures(hits: Sequence[Hit], source: object, store: ObjectStore) -> list[Picture]:
    match source:
        case DamageMap():
            return _of_map([(hit.id, f"{hit.distance:.3f}") for hit in hits], source, store)
        case PairSet():
            return _of_pairs(hits, source, store)
        case SceneCatalog():
            return _of_catalog(hits, source, store)
        case Path():
            return [
                Picture(image_picture(load_image(source / hit.id)), hit.id, _note(hit, hit.columns.get("class")))
                for hit in hits
            ]
    raise SiameseError("has no pictures", where=str(source), fix="search a map, folder, catalog or pair set")


def _of_map(
    noted: Sequence[tuple[str, str]], made: DamageMap, store: ObjectStore, *, blind: bool = False
) -> list[Picture]:
    """Draws buildings of a map, given their ids and what is noted of each; their classes too, unless ``blind``."""
    ids = [name for name, _ in noted]
    parts = map_parts(made, store)
    rows = map_rows(made, ids, store)
    with ExitStack() as stack:
        folder = stack.enter_context(workplace(store))
        positions = {name: row for row, name in enumerate(building_ids(made, folder, store))}
        outlines = bring_outlines(parts, folder, store)
        taken = np.array([positions[name] for name in ids], np.int64)
        shapes: Any = outlines.take(taken) if ids else []
        imagery = stack.enter_context(reopened(parts, store))
        pictures = []
        for (name, note), row, shape, box in zip(noted, rows, shapes, outlines.boxes[taken].tolist(), strict=True):
            square = around(box, _CONTEXT)
            chips = building_picture(read_chips(imagery, square), shape, square)
            mapped = row["damage_class"]
            if blind:
                pictures.append(Picture(chips, name, note))
            else:
                told = f"{note} · {mapped.replace('_', ' ')}"
                pictures.append(Picture(chips, name, told, class_colour(mapped)))
    return pictures


def _of_pairs(hits: Sequence[Hit], pairs: PairSet, store: ObjectStore) -> list[Picture]:
    reader = PairReader(store, pairs, cache=store.settings.cache)
    pictures = []
    for hit in hits:
        scene, _, uid = hit.id.rpartition("/")
        building = next(one for one in reader.buildings(scene) if one.uid == uid)
        square = around(building.pre.bounds, _CONTEXT)
        pre, post, _ = reader.crop(scene, *square)
        chips = building_picture((pre, post), building.pre, square)
        name = hit.columns.get("class")
        pictures.append(Picture(chips, hit.id, _note(hit, str(name).replace("_", " ")), class_colour(name)))
    return pictures


def _of_catalog(hits: Sequence[Hit], catalog: SceneCatalog, store: ObjectStore) -> list[Picture]:
    wanted = {str(hit.columns["scene"]) for hit in hits}
    scenes = {scene.scene: scene for scene in read_catalog(store, catalog) if scene.scene in wanted}
    pictures = []
    for hit in hits:
        scene = scenes[str(hit.columns["scene"])]
        found = scene.pre_image if hit.columns["date"] == "pre" else scene.post_image
        assert found is not None  # noqa: S101
        pictures.append(Picture(image_picture(read_image(found.read(store), found.uri)), hit.id, _note(hit, None)))
    return pictures


def _note(hit: Hit, what: object) -> str:
    return f"{hit.distance:.3f}" + (f" · {what}" if what else "")


def _ids_fix(ids: Sequence[str]) -> str:
    return f"give an id such as {ids[0]!r}, an image file, or a vector" if len(ids) else "the index is empty"


def _vector_file(path: Path) -> Floats:
    try:
        if path.suffix.lower() == ".npy":
            return np.asarray(np.load(path, allow_pickle=False), np.float32).reshape(-1)
        return _numbers(path.read_text(), str(path))
    except (ValueError, OSError, TypeError) as error:
        raise SiameseError("holds no vector", where=str(path), fix="give one list of numbers") from error


def _numbers(text: str, where: str) -> Floats:
    try:
        return np.asarray(json.loads(text), np.float32).reshape(-1)
    except (ValueError, TypeError) as error:
        raise SiameseError("is no list of numbers", where=where, fix="write it as JSON, e.g. [0.1, 0.2]") from error


def source_of(index: EmbeddingIndex, store: ObjectStore) -> object:
    """Returns what an index was made from.

    Raises:
        SiameseError: It is gone.
    """
    kind, _, digest = index.source.partition(" ")
    sources: Mapping[str, Any] = {one.kind: one for one in (DamageMap, PairSet, SceneCatalog)}
    return sources[kind].load(store, digest) if kind in sources and digest else Path(index.source)
