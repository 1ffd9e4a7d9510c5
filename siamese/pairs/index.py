"""The in-memory index of a pair set: its scenes and the location of each of their blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from siamese.errors import SiameseError
from siamese.manifests import PairSet, Split
from siamese.pairs.blocks import PIXEL_CLASSES
from siamese.pairs.shards import ByteRange
from siamese.store import ObjectStore


@dataclass(frozen=True, eq=False)
class SceneEntry:
    """A scene of a pair set."""

    scene: str
    disaster: str
    disaster_type: str
    split: Split
    width: int
    height: int
    pre_bands: int
    post_bands: int
    block_px: int
    pixels: NDArray[np.int32]
    """(block rows, block columns, 6): pixels of each block by :data:`siamese.pairs.blocks.PIXEL_CLASSES`."""
    first: int
    """Position of its first block in the index; the others follow row by row."""


@dataclass(frozen=True, slots=True)
class BlockAddress:
    """The location of a block's sample and of the members in it."""

    shard: int
    offset: int
    length: int
    sha256: bytes
    pre: ByteRange
    post: ByteRange
    mask: ByteRange


def read_splits(store: ObjectStore, pair_set: PairSet) -> dict[str, Split]:
    """Reads the split of each scene of a pair set from two columns of its index.

    Raises:
        SiameseError: The index is missing or differs from what was published.
    """
    columns = pq.read_table(pa.BufferReader(pair_set.index.read(store)), columns=["scene", "split"], use_threads=False)
    return dict(zip(*(column.to_pylist() for column in columns.columns), strict=True))


class BlockIndex:
    """The index of a pair set; it takes about 100 bytes per block and is shared by forked processes."""

    def __init__(self, table: bytes, block_px: int) -> None:
        """Reads the index.

        Args:
            table: The Parquet file.
            block_px: Side of a block.
        """
        rows = pq.read_table(pa.BufferReader(table), use_threads=False)
        numbers = {
            name: rows[name].to_numpy() for name, kind in zip(rows.column_names, rows.schema.types, strict=True)
            if pa.types.is_integer(kind)
        }  # fmt: skip
        names = ("offset", "length", "pre_offset", "pre_length", "post_offset", "post_length")
        self._numbers = np.stack([numbers[name] for name in ("shard", *names, "mask_offset", "mask_length")], axis=1)
        self._digests = np.frombuffer(b"".join(rows["sha256"].to_pylist()), np.uint8).reshape(-1, 32)
        self.entries = {entry.scene: entry for entry in _entries(rows, numbers, block_px)}

    def entry(self, scene: str) -> SceneEntry:
        """Returns a scene by its name.

        Raises:
            SiameseError: The pair set does not contain it.
        """
        try:
            return self.entries[scene]
        except KeyError:
            fix = "only accepted scenes are in it; the catalog tells why others are not"
            raise SiameseError("is not in this pair set", where=scene, fix=fix) from None

    def address(self, block: int) -> BlockAddress:
        """Returns the location of the block at a position of the index."""
        shard, offset, length, *members = self._numbers[block].tolist()
        spans = (ByteRange(*members[at : at + 2]) for at in (0, 2, 4))
        return BlockAddress(shard, offset, length, self._digests[block].tobytes(), *spans)


def _entries(rows: pa.Table, numbers: dict[str, NDArray[np.int64]], block_px: int) -> list[SceneEntry]:
    if not rows.num_rows:
        return []
    pixels = np.stack([numbers[f"pixels_{name}"] for name in PIXEL_CLASSES], axis=1).astype(np.int32)
    starts = np.flatnonzero((numbers["row"] == 0) & (numbers["col"] == 0))
    text = rows.select(["scene", "disaster", "disaster_type", "split"]).take(pa.array(starts)).to_pylist()
    entries = []
    for names, start in zip(text, starts.tolist(), strict=True):
        width, height, pre, post = (
            int(numbers[name][start]) for name in ("scene_width", "scene_height", "pre_bands", "post_bands")
        )
        shape = (-(-height // block_px), -(-width // block_px))
        entry = SceneEntry(
            **names,
            width=width,
            height=height,
            pre_bands=pre,
            post_bands=post,
            block_px=block_px,
            pixels=pixels[start : start + shape[0] * shape[1]].reshape(*shape, -1),
            first=start,
        )
        entries.append(entry)
    return entries
