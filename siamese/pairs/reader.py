"""Reads a pair set; a crop costs no more than the blocks that it overlaps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from siamese.classes import UNCLASSIFIED
from siamese.errors import SiameseError
from siamese.manifests import PairSet, Split
from siamese.pairs.blocks import PIXEL_CLASSES, Image, decode_png
from siamese.pairs.cache import ContentCache
from siamese.pairs.decoded import DecodedBlocks, Images
from siamese.pairs.fetch import fetch_blocks
from siamese.pairs.index import BlockAddress, BlockIndex, SceneEntry
from siamese.pairs.masks import Mask
from siamese.pairs.prepare import PairBuilding, unseen_pixels
from siamese.pairs.targets import official_targets
from siamese.store import Blob, ObjectStore

CACHE_LIMIT = 20 * 2**30
"""Default limit of local copies in bytes."""
TRAINING_MEMORY = 512 * 2**20
"""Bytes of decoded pixels that suit a training run: 70 scenes of xBD, which are then not decoded for every crop."""
_THREADS = min(8, os.cpu_count() or 1)


class PairReader:
    """Scenes of a pair set, whole or in part.

    A reader is safe to share between threads, can be pickled, and keeps working in a forked process.
    """

    def __init__(
        self,
        store: ObjectStore,
        pair_set: PairSet,
        *,
        cache: Path | None,
        cache_limit: int = CACHE_LIMIT,
        memory_limit: int = 0,
    ) -> None:
        """Reads the index.

        Args:
            store: Object storage that holds the pair set.
            pair_set: Its manifest.
            cache: Folder for local copies, e.g. ``store.settings.cache``; None keeps none.
            cache_limit: Approximate limit of local copies in bytes.
            memory_limit: Maximum bytes of decoded pixels in memory, for reading a few scenes often.

        Raises:
            SiameseError: The index is missing or differs from what was published.
        """
        self.pair_set = pair_set
        self._store, self._process = store, os.getpid()
        self._cache_folder, self._cache_limit, self._memory_limit = cache, cache_limit, memory_limit
        self._decoded = DecodedBlocks(memory_limit)
        self._blocks = ContentCache(cache / "blocks", cache_limit) if cache else None
        self._tables = ContentCache(cache / "tables", cache_limit // 4, folders=1) if cache else None
        self._index = BlockIndex(self._table(pair_set.index), pair_set.block_px)
        self._buildings: bytes | None = None

    def __getstate__(self) -> dict[str, Any]:
        kept = ("pair_set", "_cache_folder", "_cache_limit", "_memory_limit")
        return {"kind": type(self._store), "settings": self._store.settings} | {k: getattr(self, k) for k in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        store = state["kind"](state["settings"])
        PairReader.__init__(
            self,
            store,
            state["pair_set"],
            cache=state["_cache_folder"],
            cache_limit=state["_cache_limit"],
            memory_limit=state["_memory_limit"],
        )

    def scenes(self, split: Split) -> tuple[SceneEntry, ...]:
        """Returns the scenes of a split, in order of name."""
        return tuple(entry for entry in self._index.entries.values() if entry.split == split)

    def scene(self, scene: str) -> SceneEntry:
        """Returns a scene by its name.

        Raises:
            SiameseError: The pair set does not contain it.
        """
        return self._index.entry(scene)

    def crop(self, scene: str, row: int, col: int, size: int) -> tuple[Image, Image, Mask]:
        """Reads a square crop of a scene, fetching only the blocks that it overlaps.

        Args:
            scene: Name of the scene.
            row: Row of the crop's upper left pixel, which may be outside the scene.
            col: Column of the crop's upper left pixel.
            size: Side in pixels.

        Returns:
            pre and post (size, size, bands) uint8, 0 outside the scene; mask (size, size) uint8, 0 background,
            1-4 damage, 255 un-classified or outside.

        Raises:
            SiameseError: There is no such scene, or a block differs from what was published.
        """
        entry = self._index.entry(scene)
        return self._window(entry, _Window(row, col, size, size), threads=1)

    def whole(self, scene: str) -> tuple[Image, Image, Mask]:
        """Reads a whole scene, decoded by several threads; returns the same as :meth:`crop`, without padding."""
        entry = self._index.entry(scene)
        return self._window(entry, _Window(0, 0, entry.height, entry.width), threads=_THREADS)

    def buildings(self, scene: str) -> tuple[PairBuilding, ...]:
        """Returns the buildings of a scene, in the order of its label."""
        entry = self._index.entry(scene)
        if self._buildings is None:
            self._buildings = self._table(self.pair_set.buildings)
        rows = pq.read_table(
            pa.BufferReader(self._buildings), filters=[("scene", "=", entry.scene)], use_threads=False
        ).to_pydict()
        pre, post = (shapely.from_wkb(rows[f"{date}_polygon"]) for date in ("pre", "post"))
        return tuple(map(PairBuilding, rows["uid"], rows["subtype"], pre, post))

    def targets(self, scene: str) -> tuple[Mask, Mask]:
        """Returns the official targets: localization (H, W) uint8 0 or 1, damage (H, W) uint8 0-4; 0 where unseen."""
        entry, buildings = self._index.entry(scene), self.buildings(scene)
        post = ((building.post, building.subtype) for building in buildings)
        localization, damage = official_targets(
            (building.pre for building in buildings), post, entry.height, entry.width
        )
        unseen = self.unseen(scene)
        if unseen is not None:
            localization[unseen] = damage[unseen] = 0
        return localization, damage

    def unseen(self, scene: str) -> NDArray[np.bool_] | None:
        """Returns (H, W), True where either image has no data; None if both images are complete."""
        entry = self._index.entry(scene)
        if not entry.pixels[..., PIXEL_CLASSES.index("unclassified")].any():
            return None
        found = unseen_pixels(self.whole(scene)[2], self.buildings(scene))
        return found if found.any() else None

    def _window(self, entry: SceneEntry, window: _Window, threads: int) -> tuple[Image, Image, Mask]:
        shape = (window.height, window.width)
        pre = np.zeros((*shape, entry.pre_bands), np.uint8)
        post = np.zeros((*shape, entry.post_bands), np.uint8)
        mask = np.full((*shape, 1), UNCLASSIFIED, np.uint8)
        wanted = [(at, self._index.address(block)) for block, at in _overlapped(entry, window)]
        held = {address.sha256: self._decoded.get(address.sha256) for _, address in wanted}
        missing = [address for _, address in wanted if held[address.sha256] is None]
        samples = fetch_blocks(missing, self.pair_set.shards, self._storage(), self._blocks)

        def paint(block: tuple[tuple[int, int], BlockAddress]) -> None:
            (top, left), address = block
            images = held[address.sha256]
            if images is None:
                images = _decode(memoryview(samples[address.sha256]), address, entry)
                self._decoded.put(address.sha256, images)
            for image, pixels in zip((pre, post, mask), images, strict=True):
                _paste(pixels, image, top - window.row, left - window.col)

        _each(paint, wanted, threads)
        return pre, post, mask[..., 0]

    def _table(self, blob: Blob) -> bytes:
        digest = bytes.fromhex(blob.sha256)
        data = self._tables.get(digest) if self._tables else None
        if data is None:
            data = blob.read(self._storage())
            if self._tables:
                self._tables.put(digest, data)
        return data

    def _storage(self) -> ObjectStore:
        # A forked process must not use its parent's connections.
        if os.getpid() != self._process:
            self._store, self._process = type(self._store)(self._store.settings), os.getpid()
        return self._store


@dataclass(frozen=True, slots=True)
class _Window:
    row: int
    col: int
    height: int
    width: int


def _decode(sample: memoryview, address: BlockAddress, entry: SceneEntry) -> Images:
    spans = zip((address.pre, address.post, address.mask), (entry.pre_bands, entry.post_bands, 1), strict=True)
    pre, post, mask = (decode_png(sample[span.offset : span.offset + span.length], bands) for span, bands in spans)
    return pre, post, mask


def _overlapped(entry: SceneEntry, window: _Window) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yields position in the index and upper left pixel in the scene of each block that a window overlaps."""
    if window.height < 1 or window.width < 1:
        raise SiameseError(f"a crop of {window.height} x {window.width} px", where=entry.scene, fix="ask for 1 or more")
    cols, side = entry.pixels.shape[1], entry.block_px
    top, left = max(0, window.row), max(0, window.col)
    bottom = min(entry.height, window.row + window.height)
    right = min(entry.width, window.col + window.width)
    if top >= bottom or left >= right:
        return
    for row in range(top // side, -(-bottom // side)):
        for col in range(left // side, -(-right // side)):
            yield entry.first + row * cols + col, (row * side, col * side)


def _paste(pixels: Image, target: Image, top: int, left: int) -> None:
    """Copies the part of ``pixels`` that overlaps ``target`` when its upper left corner is at (top, left)."""
    height, width = pixels.shape[:2]
    rows = slice(max(0, top), min(target.shape[0], top + height))
    cols = slice(max(0, left), min(target.shape[1], left + width))
    target[rows, cols] = pixels[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]


def _each(work: Callable[[Any], None], items: list[Any], threads: int) -> None:
    if threads == 1 or len(items) < 2:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, items))
