"""Finds what a person wants embedded or searched by how they named it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from siamese.errors import NotPublishedError, SiameseError
from siamese.manifests import DamageMap, EmbeddingIndex, PairSet, SceneCatalog
from siamese.store import ObjectStore

Source = DamageMap | EmbeddingIndex | PairSet | SceneCatalog | Path

_KINDS: Final[dict[str, type[DamageMap | EmbeddingIndex | PairSet | SceneCatalog]]] = {
    "map": DamageMap,
    "index": EmbeddingIndex,
    "pairs": PairSet,
    "catalog": SceneCatalog,
}


def find_source(reference: str, store: ObjectStore) -> Source:
    """Returns what a reference names.

    Args:
        reference: A folder; a manifest's file, digest or s3:// address; ``pairs:…``, ``catalog:…``, ``index:…`` or
            ``map:…`` with any of these or ``latest``; or an event, which stands for its current map.
        store: Holds the manifests.

    Raises:
        SiameseError: It names nothing.
    """
    prefix, colon, rest = reference.partition(":")
    if colon and prefix in _KINDS and not rest.startswith("//"):
        if prefix == "map" and not re.fullmatch("[0-9a-f]{16}|latest|s3://.+|.+[.]json", rest):
            return DamageMap.current(store, rest)
        return _KINDS[prefix].resolve(store, rest or "latest")
    path = Path(reference)
    if not reference.startswith("s3://") and path.is_dir():
        return path
    if not reference.startswith("s3://") and path.is_file():
        return _kind_of(path).resolve(store, reference)
    if reference.startswith("s3://"):
        kind = next((one for one in _KINDS.values() if f"/{one.kind}/" in reference), None)
        if kind is None:
            fix = "copy the images into a folder, or give a manifest's address"
            raise SiameseError("is the address of no map, index, pair set or catalog", where=reference, fix=fix)
        return kind.resolve(store, reference)
    if re.fullmatch("[0-9a-f]{16}", reference):
        for kind in _KINDS.values():
            try:
                return kind.load(store, reference)
            except NotPublishedError:
                continue
    try:
        return DamageMap.current(store, reference)
    except NotPublishedError as error:
        fix = "give an event with a map, a folder of images, pairs:latest, catalog:latest, or a manifest"
        raise SiameseError(
            "there is no such map, folder, pair set, catalog or index", where=reference, fix=fix
        ) from error


def _kind_of(path: Path) -> type[DamageMap | EmbeddingIndex | PairSet | SceneCatalog]:
    try:
        stage = json.loads(path.read_bytes())["origin"]["stage"]
        return next(kind for kind in _KINDS.values() if kind.kind == stage)
    except (ValueError, KeyError, TypeError, StopIteration, OSError) as error:
        fix = "name a folder of images, or the manifest of a map, pair set, catalog or index"
        raise SiameseError("is no folder and no such manifest", where=str(path), fix=fix) from error
