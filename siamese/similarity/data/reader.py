"""Reads the items of a split."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from siamese.errors import SiameseError
from siamese.manifests import ItemSet, Split
from siamese.similarity.data.items import Items, ListedPairs
from siamese.store import ObjectStore

DTYPES = {"image": np.uint8, "series": np.float32, "vector": np.float32, "text": np.uint8}


def read_items(items: ItemSet, split: Split | None, store: ObjectStore) -> Items | None:
    """Reads a split, or all items for None; returns None if it holds nothing.

    Raises:
        SiameseError: An object is missing or differs from what was published.
    """
    table = pq.read_table(io.BytesIO(items.items.read(store)))
    if split is not None:
        table = table.filter(pc.equal(table["split"], split))
    if not table.num_rows:
        return None
    ids = tuple(table["id"].to_pylist())
    joined = b"".join(table["data"].to_pylist())
    values = np.frombuffer(joined, DTYPES[items.item_kind]).reshape(len(ids), *items.shape)
    return Items(
        items.item_kind,
        values,
        ids,
        tuple(table["class_name"].to_pylist()),
        tuple(table["group"].to_pylist()),
        table["branch"].to_numpy().astype(np.int64),
        np.asarray(table["forged"].to_pylist(), np.bool_),
        _pairs(items, ids, store),
    )


def _pairs(items: ItemSet, ids: tuple[str, ...], store: ObjectStore) -> ListedPairs | None:
    if items.pairs is None:
        return None
    place = {name: number for number, name in enumerate(ids)}
    table: pa.Table = pq.read_table(io.BytesIO(items.pairs.read(store)))
    rows = [
        (place[a], place[b], same)
        for a, b, same in zip(*(table[name].to_pylist() for name in ("a", "b", "same")), strict=True)
        if a in place and b in place
    ]
    first, second, same = zip(*rows, strict=True) if rows else ((), (), ())
    return ListedPairs(np.array(first, np.int64), np.array(second, np.int64), np.array(same, np.bool_))


def need_items(items: ItemSet, split: Split, store: ObjectStore) -> Items:
    """Reads a split that must hold something.

    Raises:
        SiameseError: It holds nothing.
    """
    found = read_items(items, split, store)
    if found is None:
        fix = f"choose another split, or raise items.{split}_share"
        raise SiameseError(f"has no {split} items", where=f"item set {items.digest}", fix=fix)
    return found
