"""Publishes the page of a map as one HTML file beside the map's other files.

A page shows the map's images and learns from its vectors, so it is made from a published map: it cannot be one of the
files that a map is published with. STAC documents that name it are written anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from siamese.adaptation.lineage import root_of
from siamese.embedding.stage import EMBEDDING_INDEX
from siamese.embedding.verb import plan_map
from siamese.errors import SiameseError
from siamese.manifests import DamageMap, EmbeddingIndex, MapPage
from siamese.mapping.workplace import workplace
from siamese.params import EmbeddingParams
from siamese.products.shelf import put_products
from siamese.products.stac import ASSETS
from siamese.progress import LOGGER
from siamese.reporting.verb import known_facts
from siamese.store import Blob, ObjectStore
from siamese.store.stage import Input
from siamese.viewing.folders import PAGE_FILES, page_file
from siamese.viewing.onefile import write_one_file
from siamese.viewing.stage import MAP_PAGE
from siamese.viewing.verb import ViewParams, write_view

MOST_PX: Final = 25_000_000
"""Larger maps have no page in one file: browsers open it slowly."""
MOST_BUILDINGS: Final = 50_000
MOST_BYTES: Final = 64 * 2**20


def publish_page(made: DamageMap, files: Mapping[str, Blob], params: ViewParams, store: ObjectStore) -> MapPage | None:
    """Publishes the page of a map that is small enough; the same map gives the same bytes, and is published once.

    The page learns from labels if the map's buildings have vectors already; no network runs.

    Args:
        made: The map.
        files: All its files, as :func:`siamese.reporting.current_products` returns them.
        params: What the page is made of.
        store: Where the map lies and the page goes.

    Returns:
        The page; None if the map is too large, or was made by a version whose maps have no page.

    Raises:
        SiameseError: An object of the map is missing or damaged.
    """
    why = why_no_page(made)
    if why is not None:
        LOGGER.warning(f"{made.event} has no page in one file: {why}")
        return None
    index = _vectors(made, params.embedding, store)
    beside = {name: blob.sha256 for name, blob in files.items() if name in ASSETS and name != "page"}
    # A map's content leaves out its own description, which the page shows; its digest stands for all of it.
    inputs: dict[str, Input] = {"map": made, "digest": made.digest, "files": _hash(str(sorted(beside.items())))}
    inputs["code"] = _hash(*(page_file(name) for name in PAGE_FILES))
    inputs["imagery"] = str(params.imagery)
    inputs |= {"vectors": index} if index and params.teach else {}
    origin = MAP_PAGE.plan(inputs=inputs, params={"adaptation": params.adaptation, "embedding": params.embedding})
    if found := MAP_PAGE.find(store, origin):
        return found
    with workplace(store) as folder:
        page = folder / ASSETS["page"].file
        write_view(made, folder / "page", replace(params, teach=params.teach and index is not None), store)
        size = write_one_file(folder / "page", page)
        if size > MOST_BYTES:
            LOGGER.warning(f"{made.event} has no page in one file: it would have {size / 2**20:.0f} MB")
            return None
        named = made.model_copy(update={"products": {name: blob for name, blob in files.items() if name in ASSETS}})
        target = store.maps / f"{made.digest}-{origin.digest}"
        products = put_products(replace(known_facts(made, store), map=named), {"page": page}, target, store)
        new = {name: blob for name, blob in products.items() if name == "page" or name.startswith("stac_")}
        return MapPage(origin=origin, map=made.digest, products=new).publish(store)


def why_no_page(made: DamageMap) -> str | None:
    """Returns why a map cannot have a page in one file; None if it can, unless the file would become too large."""
    if made.prediction is None or made.building_set is None:
        return "it was made by a version that did not keep what a page shows"
    if made.width * made.height > MOST_PX:
        return f"it has {made.width * made.height / 1e6:.0f} million pixels, more than {MOST_PX / 1e6:.0f} million"
    count = sum(made.counts.values())
    return f"it has {count:,} buildings, more than {MOST_BUILDINGS:,}" if count > MOST_BUILDINGS else None


def _vectors(made: DamageMap, params: EmbeddingParams, store: ObjectStore) -> EmbeddingIndex | None:
    """Returns the vectors of a map's buildings, those of the map that the network made; None if nobody made them."""
    try:
        return EMBEDDING_INDEX.find(store, plan_map(root_of(made, store), params, store), older=True)
    except SiameseError as error:
        LOGGER.warning(f"the page cannot learn from labels: {error.what}")
        return None


def _hash(*parts: str | bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part.encode() if isinstance(part, str) else part)
    return whole.hexdigest()[:16]
