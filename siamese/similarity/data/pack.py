"""The verb ``pack_items``: from a folder, table or array to a checked and split item set on the bucket."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from siamese.errors import SiameseError
from siamese.manifests import ItemSet, Split
from siamese.params import ItemsParams
from siamese.similarity.data.decode import decode_items
from siamese.similarity.data.find import find_items
from siamese.similarity.data.items import Found, RawItem, Values
from siamese.similarity.data.names import readable
from siamese.similarity.data.splits import joined_classes, split_items
from siamese.similarity.stage import ITEM_SET
from siamese.store import ObjectStore, Origin, put_blob
from siamese.tables import csv_bytes


def pack_items(source: Path | Found, params: ItemsParams, store: ObjectStore, *, name: str = "") -> ItemSet:
    """Checks and splits items and publishes them; returns at once if that is done.

    Args:
        source: A folder with one subfolder a class, a CSV, NumPy or ``.ts`` file; or what was found elsewhere.
        params: Sizes, lengths and the split.
        store: Where to publish.
        name: How the source is called; by default its path.

    Returns:
        The published item set; items that cannot be used are listed in it, each with its reason.

    Raises:
        SiameseError: Nothing can be used, there is only one class, or too few to hold some out.
    """
    found = find_items(source, params) if isinstance(source, Path) else source
    where = readable(name or (str(source) if isinstance(source, Path) else "data"))
    found.check(where)
    origin = ITEM_SET.plan(inputs={"data": _identity(found)}, params={"items": params})
    return ITEM_SET.find(store, origin) or _pack(found, where, params, origin, store)


def _pack(found: Found, where: str, params: ItemsParams, origin: Origin, store: ObjectStore) -> ItemSet:
    kept, values, refused, notes = decode_items(found.kind, found.items, params)
    refused = [*found.refused, *refused]
    pairs = None
    if found.pairs is not None:
        left = {item.id for item in kept}
        pairs = [pair for pair in found.pairs if {pair.a, pair.b} <= left]
        kept, pairs, contradicting = joined_classes(kept, pairs)
        refused += contradicting
    else:
        alone = _alone(kept)
        refused += [(item.id, reason) for item, reason in alone.values()]
        usable = [place for place, item in enumerate(kept) if item.id not in alone]
        kept, values = [kept[place] for place in usable], values[usable]
        classes = {item.class_name for item in kept}
        if len(classes) < 2:
            what = "holds one class that can be used" if classes else "holds no class of two or more items"
            fix = "give two classes of two items each at least; " + _told(refused)
            raise SiameseError(what, where=where, fix=fix)
    splits = split_items(kept, params, where)
    folder = ItemSet.folder(store, origin.digest)
    table = pa.table(
        {
            "id": [item.id for item in kept],
            "class_name": [item.class_name for item in kept],
            "group": [item.group for item in kept],
            "split": splits,
            "branch": pa.array([item.branch for item in kept], pa.int8()),
            "forged": [item.forged for item in kept],
            "data": [row.tobytes() for row in values],
        }
    )
    listed = None
    if pairs is not None:
        held = dict(zip((item.id for item in kept), splits, strict=True))
        inside = [pair for pair in pairs if held[pair.a] == held[pair.b]]
        if len(inside) < len(pairs):
            notes.append(f"{len(pairs) - len(inside)} pairs lie across two splits and are left out")
        if not {True, False} <= {pair.same for pair in inside if held[pair.a] == "train"}:
            fix = "list more pairs of both kinds, or lower items.val_share and items.test_share"
            raise SiameseError("has not both same and other pairs to learn from", where=where, fix=fix)
        listed = pa.table({"a": [p.a for p in inside], "b": [p.b for p in inside], "same": [p.same for p in inside]})
    return ItemSet(
        origin=origin,
        source=where,
        item_kind=found.kind,
        shape=tuple(values.shape[1:]),
        items=put_blob(store, folder, "items.parquet", _parquet(table)),
        pairs=put_blob(store, folder, "pairs.parquet", _parquet(listed)) if listed is not None else None,
        refused=put_blob(store, folder, "refused.csv", csv_bytes(("id", "reason"), sorted(refused)), "text/csv"),
        used=len(kept),
        refused_count=len(refused),
        classes=_counts(kept, splits),
        notes=tuple(notes),
    ).publish(store)


def _alone(items: list[RawItem]) -> dict[str, tuple[RawItem, str]]:
    """Returns items whose class has one item, which is no pair; a forged one alone is of use only beside genuine."""
    counts = Counter(item.class_name for item in items if not item.forged)
    return {
        item.id: (item, "is the only item of its class; a pair needs two")
        for item in items
        if counts[item.class_name] < 2
    }


def _told(refused: list[tuple[str, str]]) -> str:
    return f"{len(refused)} refused, e.g. {refused[0][0]}: {refused[0][1]}" if refused else "none was refused"


def _counts(items: list[RawItem], splits: list[Split]) -> dict[Split, int]:
    names: dict[Split, set[str]] = {}
    for item, split in zip(items, splits, strict=True):
        names.setdefault(split, set()).add(item.class_name)
    return {split: len(names[split]) for split in sorted(names)}


def _identity(found: Found) -> str:
    """Returns a hash of everything that was found."""
    digest = hashlib.sha256(found.kind.encode())
    for item in found.items:
        data = _bytes(item.payload)
        shape = item.payload.shape if isinstance(item.payload, np.ndarray) else len(data)
        digest.update(repr((item.id, item.class_name, item.group, item.branch, item.forged, shape)).encode())
        digest.update(data)
    digest.update(repr([(pair.a, pair.b, pair.same) for pair in found.pairs or ()]).encode())
    digest.update(repr(found.refused).encode())
    return digest.hexdigest()[:16]


def _bytes(payload: Path | bytes | Values | str) -> bytes:
    match payload:
        case Path() as path:
            try:
                return path.read_bytes()
            except OSError:  # told when it is decoded
                return b""
        case bytes() as data:
            return data
        case str() as text:
            return text.encode()
    return np.ascontiguousarray(payload).tobytes()


def _parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", store_schema=False)
    return out.getvalue()
