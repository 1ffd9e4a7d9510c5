"""Finds the blocks of a GeoTIFF, so that a damaged one does not lose the rest of the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rasterio.io import DatasetReader
from rasterio.windows import Window

from siamese.errors import SiameseError


def blocks_in(dataset: DatasetReader, window: Window) -> Iterator[Window]:
    """Yields the parts of a window that lie in one block of the file each, row by row.

    Args:
        dataset: The open file.
        window: Part of it.
    """
    tall, wide = dataset.block_shapes[0]
    bottom, right = window.row_off + window.height, window.col_off + window.width
    for row in range(window.row_off // tall * tall, bottom, tall):
        for col in range(window.col_off // wide * wide, right, wide):
            top, left = max(row, window.row_off), max(col, window.col_off)
            yield Window(left, top, min(col + wide, right) - left, min(row + tall, bottom) - top)


def check_complete(dataset: DatasetReader, block: Window, path: Path, name: str) -> None:
    """Refuses a file that ends before a block does: it was copied in part.

    Args:
        dataset: The open file.
        block: Part of one of its blocks.
        path: The file.
        name: Its name in errors.

    Raises:
        SiameseError: The file is truncated.
    """
    tall, wide = dataset.block_shapes[0]
    key = f"{block.col_off // wide}_{block.row_off // tall}"
    size = path.stat().st_size
    for band in dataset.indexes:
        found = [dataset.get_tag_item(f"BLOCK_{what}_{key}", "TIFF", bidx=band) for what in ("OFFSET", "SIZE")]
        if all(found) and int(found[0]) + int(found[1]) > size:
            fix = "copy it again from its source"
            raise SiameseError("cannot be read: the file is truncated", where=name, fix=fix)
