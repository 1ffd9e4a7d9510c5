"""Puts the products of a map on storage, with the STAC documents that name them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from siamese.products.facts import MapFacts
from siamese.products.stac import ASSETS, COLLECTION_FILE, ITEM_FILE, describe_map, map_files
from siamese.store import Blob, ObjectStore, S3Uri, put_file

_ITEM: Final = "stac_item"
_COLLECTION: Final = "stac_collection"


def put_products(facts: MapFacts, files: Mapping[str, Path], folder: S3Uri, store: ObjectStore) -> dict[str, Blob]:
    """Writes products and STAC documents as immutable objects; no manifest names them yet.

    Args:
        facts: The map; what it has already is described too.
        files: The products.
        folder: Where they go: the folder of the map's other files.
        store: Object storage.

    Returns:
        The products that the map's manifest should name: its own, and these.
    """
    made = {name: put_file(store, folder, ASSETS[name].file, path) for name, path in files.items()}
    products = {**facts.map.products, **made}
    whole = map_files(facts.map.model_copy(update={"products": products}))
    # The item lies one folder down, under a name that it shares with the collection.
    hrefs = {name: f"../{S3Uri.parse(blob.uri).name}" for name, blob in whole.items()}
    documents = describe_map(facts, whole, hrefs)
    place = folder / f"stac-{documents.identity}"
    products[_ITEM] = _put(store, place / ITEM_FILE, documents.item, "application/geo+json")
    products[_COLLECTION] = _put(store, place / COLLECTION_FILE, documents.collection, "application/json")
    return products


def _put(store: ObjectStore, uri: S3Uri, data: bytes, media_type: str) -> Blob:
    digest = hashlib.sha256(data).hexdigest()
    found = store.head(uri)
    if found is None or (found.size, found.sha256) != (len(data), digest):
        store.put(uri, data, content_type=media_type)
    return Blob(uri=str(uri), size=len(data), sha256=digest)
