"""Puts the products of a map on storage, with the STAC documents that name them."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from siamese.products.facts import MapFacts
from siamese.products.stac import ASSETS, COLLECTION_FILE, ITEM_FILE, MODEL_FILE, describe_map, map_files
from siamese.store import Blob, ObjectStore, S3Uri, put_file

_ITEM: Final = "stac_item"
_COLLECTION: Final = "stac_collection"
_MODEL: Final = "stac_model"


def put_products(facts: MapFacts, files: Mapping[str, Path], folder: S3Uri, store: ObjectStore) -> dict[str, Blob]:
    """Writes products and STAC documents as immutable objects; no manifest names them yet.

    Args:
        facts: The map; what it has already is described too.
        files: The products.
        folder: Where they go: a folder of the bucket that holds the map's other files.
        store: Object storage.

    Returns:
        The products that the map's manifest should name: its own, and these.
    """
    # Browsers show a report or a page that a link leads to, if its media type is known.
    made = {
        name: put_file(store, folder, ASSETS[name].file, path, ASSETS[name].media_type) for name, path in files.items()
    }
    # Of a map that is published already, only these files are named anew, and its documents are written again.
    products = {**{name: blob for name, blob in facts.map.products.items() if name in ASSETS}, **made}
    whole = map_files(facts.map.model_copy(update={"products": products}))
    # The item lies one folder down, under a name that it shares with the collection; the map's files may lie beside.
    hrefs = {name: _href(S3Uri.parse(blob.uri), folder) for name, blob in whole.items()}
    documents = describe_map(facts, whole, hrefs)
    place = folder / f"stac-{documents.identity}"
    products[_ITEM] = _put(store, place / ITEM_FILE, documents.item, "application/geo+json")
    products[_COLLECTION] = _put(store, place / COLLECTION_FILE, documents.collection, "application/json")
    if documents.model is not None:
        products[_MODEL] = _put(store, place / MODEL_FILE, documents.model, "application/geo+json")
    return products


def _href(uri: S3Uri, folder: S3Uri) -> str:
    """Returns the address of a file relative to a folder below a given one, or its whole address in another bucket."""
    if uri.bucket != folder.bucket:
        return str(uri)
    return posixpath.relpath(uri.key, f"{folder.key}/stac")


def _put(store: ObjectStore, uri: S3Uri, data: bytes, media_type: str) -> Blob:
    digest = hashlib.sha256(data).hexdigest()
    found = store.head(uri)
    if found is None or (found.size, found.sha256) != (len(data), digest):
        store.put(uri, data, content_type=media_type)
    return Blob(uri=str(uri), size=len(data), sha256=digest)
