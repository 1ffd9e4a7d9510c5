"""The verb ``embed``: gives each building of a map, each image, or each labelled building a vector on the bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from siamese.embedding.buildings import pool_buildings
from siamese.embedding.chips import around, read_chips
from siamese.embedding.encoders import MAP_ENCODER, ChipEncoder, checked, load_encoder
from siamese.embedding.featuring import DamageFeatures
from siamese.embedding.outlines import Outlines, bring_outlines, building_ids
from siamese.embedding.reopening import MapParts, map_parts, reopened
from siamese.embedding.sources import (
    CATALOG_COLUMNS,
    FOLDER_COLUMNS,
    PAIR_COLUMNS,
    catalog_rows,
    find_folder,
    folder_identity,
    folder_rows,
    pair_rows,
    pair_vectors,
)
from siamese.embedding.stage import EMBEDDING_INDEX, SEARCH_INDEX
from siamese.embedding.vectors import BATCH_ROWS, Floats, Rows, write_rows
from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, DamageMap, EmbeddingIndex, PairSet, SceneCatalog
from siamese.mapping.workplace import workplace
from siamese.params import EmbeddingParams, SearchParams
from siamese.progress import LOGGER, progress
from siamese.store import ObjectStore, Origin, put_file
from siamese.store.stage import Input


def plan_map(
    made: DamageMap, params: EmbeddingParams, store: ObjectStore, encoder: ChipEncoder | None = None
) -> Origin:
    """Returns the identity of the index of a map's buildings.

    Args:
        made: The map.
        params: Encoder, features and windows.
        store: Holds the map.
        encoder: The encoder of the params, if it is loaded already and is not the map's network.

    Raises:
        SiameseError: The map was made before its steps were kept, or its checkpoint is gone.
    """
    parts = map_parts(made, store)
    known = parts.prediction.origin.inputs
    inputs: dict[str, Input] = {name: known.get(name, "") for name in ("pre", "post", "place", "disaster_type")}
    inputs |= {"buildings": made.buildings.sha256, "outlines": parts.buildings.table.sha256}
    if params.encoder == MAP_ENCODER:
        inputs["encoder"] = Checkpoint.load(store, made.checkpoint)
    else:
        inputs["encoder"] = (encoder or load_encoder(params, store)).identity
    return EMBEDDING_INDEX.plan(inputs=inputs, params={"embedding": params})


def embed_map(made: DamageMap, params: EmbeddingParams, store: ObjectStore) -> EmbeddingIndex:
    """Gives each building of a map a vector.

    By default these are features of the map's own network, pooled inside the building's outline: of the pre image, of
    the post image, of their fusion, and of the damage decoder; :attr:`EmbeddingIndex.parts` names which elements of a
    vector are what. Of an ensemble, the first network is taken. Any other encoder sees a chip of either date with some
    ground around the building. The map is read window by window, so that memory does not grow with its area.

    Args:
        made: The map.
        params: Encoder, features and windows.
        store: Where the map, its network and its images lie.

    Returns:
        The index; ids and order are those of the map's table of buildings. An existing one if it was made already.

    Raises:
        SiameseError: The map's images are gone or have changed, or an object is missing or damaged.
    """
    own = params.encoder == MAP_ENCODER
    encoder = None if own else load_encoder(params, store)
    origin = plan_map(made, params, store, encoder)
    if found := EMBEDDING_INDEX.find(store, origin, older=True):
        return found
    parts = map_parts(made, store)
    with workplace(store) as folder:
        ids, outlines = building_ids(made, folder, store), bring_outlines(parts, folder, store)
        checkpoint = Checkpoint.load(store, made.checkpoint)
        network = encoder or DamageFeatures.load(checkpoint, params, store)
        spans = network.spans() if isinstance(network, DamageFeatures) else _dates(network)
        dimension = max(stop for _, stop in spans.values())
        values = _scratch(folder / "values.npy", len(outlines), dimension)
        if ids:
            _fill(values, parts, outlines, network, params, store)
        else:
            LOGGER.warning(f"map {made.digest} ({made.event}) has no buildings; its index is empty")
        path = folder / "vectors.parquet"
        write_rows(path, _batches(ids, values), dimension, normalise=params.normalise)
        return EmbeddingIndex(
            origin=origin,
            vectors=put_file(store, EmbeddingIndex.folder(store, origin.digest), "vectors.parquet", path),
            encoder=encoder.identity if encoder else f"checkpoint {checkpoint.content}",
            source=f"{DamageMap.kind} {made.digest}",
            dimension=dimension,
            count=len(ids),
            normalized=params.normalise,
            parts=spans,
        ).publish(store)


def is_indexed(made: DamageMap, params: EmbeddingParams, search: SearchParams, store: ObjectStore) -> bool:
    """Returns whether a map has an index, and cells to search by if it is large.

    Raises:
        SiameseError: The map was made before its steps were kept, or its checkpoint is gone.
    """
    found = EMBEDDING_INDEX.find(store, plan_map(made, params, store), older=True)
    if found is None or found.count <= search.exact_up_to:
        return found is not None
    return SEARCH_INDEX.find(store, SEARCH_INDEX.plan(inputs={"index": found}, params={"search": search})) is not None


def embed_folder(folder: Path, params: EmbeddingParams, store: ObjectStore) -> EmbeddingIndex:
    """Gives each image of a folder and its subfolders a vector; its id is its path below the folder.

    Raises:
        SiameseError: The folder holds no image, or none that can be read.
    """
    paths = find_folder(folder)
    encoder = load_encoder(params, store)
    inputs = {"images": folder_identity(paths, folder), "encoder": encoder.identity}
    skipped: dict[str, str] = {}
    spans = {"image": (0, encoder.dimension)}
    return _embed(
        inputs, str(folder), encoder.identity, spans, FOLDER_COLUMNS, params, store, skipped,
        lambda: folder_rows(paths, folder, encoder, params, skipped),
    )  # fmt: skip


def embed_catalog(catalog: SceneCatalog, params: EmbeddingParams, store: ObjectStore) -> EmbeddingIndex:
    """Gives each image of the usable scenes of a catalog a vector; its id is the image's name as in xBD.

    Raises:
        SiameseError: No scene is usable, or an image has changed since it was ingested.
    """
    encoder = load_encoder(params, store)
    inputs: dict[str, Input] = {"catalog": catalog, "encoder": encoder.identity}
    skipped: dict[str, str] = {}
    return _embed(
        inputs, f"{SceneCatalog.kind} {catalog.digest}", encoder.identity, {"image": (0, encoder.dimension)},
        CATALOG_COLUMNS, params, store, skipped, lambda: catalog_rows(catalog, encoder, store, skipped),
    )  # fmt: skip


def embed_pairs(
    pairs: PairSet, params: EmbeddingParams, store: ObjectStore, checkpoint: Checkpoint | None = None
) -> EmbeddingIndex:
    """Gives each labelled building of a pair set a vector, and keeps its scene, split and class beside it.

    Args:
        pairs: The pair set.
        params: Encoder and features.
        store: Holds the pair set.
        checkpoint: The damage network whose features are pooled, where ``params.encoder`` is ``map``.

    Raises:
        SiameseError: ``params.encoder`` is ``map`` and there is no checkpoint, or an object is missing or damaged.
    """
    network: ChipEncoder | DamageFeatures
    inputs: dict[str, Input] = {"pairs": pairs}
    if params.encoder == MAP_ENCODER:
        if checkpoint is None:
            fix = "name its --model, or another --encoder"
            raise SiameseError("a pair set has no network of its own", where=f"pair set {pairs.digest}", fix=fix)
        network, identity = DamageFeatures.load(checkpoint, params, store), f"checkpoint {checkpoint.content}"
        inputs["encoder"], spans = checkpoint, network.spans()
    else:
        network = load_encoder(params, store)
        identity, spans = network.identity, _dates(network)
        inputs["encoder"] = identity
    skipped: dict[str, str] = {}
    return _embed(
        inputs, f"{PairSet.kind} {pairs.digest}", identity, spans, PAIR_COLUMNS, params, store, skipped,
        lambda: pair_rows(pairs, network, params, store, skipped),
    )  # fmt: skip


def _embed(
    inputs: Mapping[str, Input],
    source: str,
    identity: str,
    spans: dict[str, tuple[int, int]],
    columns: Mapping[str, pa.DataType],
    params: EmbeddingParams,
    store: ObjectStore,
    skipped: dict[str, str],
    rows: Callable[[], Iterator[Rows]],
) -> EmbeddingIndex:
    origin = EMBEDDING_INDEX.plan(inputs=inputs, params={"embedding": params})
    if found := EMBEDDING_INDEX.find(store, origin, older=True):
        return found
    dimension = max(stop for _, stop in spans.values())
    with workplace(store) as folder:
        path = folder / "vectors.parquet"
        count = write_rows(path, rows(), dimension, normalise=params.normalise, columns=columns)
        if not count:
            name, reason = next(iter(skipped.items()), ("", "it is empty"))
            what = f"nothing in it can be embedded{f'; the first, {name}: {reason}' if name else ''}"
            raise SiameseError(what, where=source, fix="give images that can be read")
        return EmbeddingIndex(
            origin=origin,
            vectors=put_file(store, EmbeddingIndex.folder(store, origin.digest), "vectors.parquet", path),
            encoder=identity,
            source=source,
            dimension=dimension,
            count=count,
            normalized=params.normalise,
            parts=spans,
            skipped=skipped,
        ).publish(store)


def _fill(
    values: Floats,
    parts: MapParts,
    outlines: Outlines,
    network: ChipEncoder | DamageFeatures,
    params: EmbeddingParams,
    store: ObjectStore,
) -> None:
    with reopened(parts, store) as imagery:
        if isinstance(network, DamageFeatures):
            features, disaster_type = network, parts.prediction.disaster_type
            pool_buildings(
                imagery, outlines, params, values,
                lambda pre, post, numbers, count: features.vectors(pre, post, numbers, count, disaster_type),
            )  # fmt: skip
            return
        with progress("embed buildings", len(outlines)) as advance:
            for start in range(0, len(outlines), params.batch):
                boxes = outlines.boxes[start : start + params.batch].tolist()
                chips = [read_chips(imagery, around(box, params.context)) for box in boxes]
                values[start : start + len(boxes)] = pair_vectors(chips, network)
                advance(len(boxes))


def _batches(ids: tuple[str, ...], values: Floats) -> Iterator[Rows]:
    for start in range(0, len(ids), BATCH_ROWS):
        some = list(ids[start : start + BATCH_ROWS])
        yield Rows(some, checked(np.asarray(values[start : start + BATCH_ROWS]), some))


def _dates(encoder: ChipEncoder) -> dict[str, tuple[int, int]]:
    return {"pre": (0, encoder.dimension), "post": (encoder.dimension, 2 * encoder.dimension)}


def _scratch(path: Path, rows: int, dimension: int) -> Floats:
    """Returns ``(rows, dimension)`` zeros on local disk, so that memory does not grow with them."""
    if not rows:
        return np.zeros((0, dimension), np.float32)
    return np.lib.format.open_memmap(path, "w+", np.float32, (rows, dimension))
