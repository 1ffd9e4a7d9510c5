"""The outlines and ids of a map's buildings, on local disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from siamese.embedding.reopening import MapParts
from siamese.embedding.vectors import Floats
from siamese.errors import SiameseError
from siamese.manifests import DamageMap
from siamese.store import Blob, ObjectStore, S3Uri, file_sha256

_ROWS: Final = 4096


@dataclass(frozen=True)
class Outlines:
    """The buildings of a map, on local disk; few numbers a building are in memory.

    Attributes:
        path: Arrow file with the column ``outline``: WKB in pixels of the map's grid, in the map's order.
        boxes: ``(n, 4)`` float32: first column, first row, last column, last row of each outline.
    """

    path: Path
    boxes: Floats

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def middles(self) -> Floats:
        """``(n, 2)``: row and column of the middle of each outline's box."""
        sums = [self.boxes[:, 1] + self.boxes[:, 3], self.boxes[:, 0] + self.boxes[:, 2]]
        return np.asarray(np.stack(sums, axis=1) / 2, np.float32)

    def take(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Returns the outlines at some positions, as shapely polygons."""
        with pa.memory_map(str(self.path)) as source:
            column = pa.ipc.open_file(source).read_all()["outline"]
            return np.asarray(shapely.from_wkb(column.take(pa.array(positions)).to_pylist()), dtype=object)


def bring_outlines(parts: MapParts, folder: Path, store: ObjectStore) -> Outlines:
    """Copies the outlines of a map's buildings to local disk.

    Raises:
        SiameseError: The table is missing or differs from what was published.
    """
    found, path = fetch(parts.buildings.table, folder / "found.parquet", store), folder / "outlines.arrow"
    boxes = [np.zeros((0, 4), np.float32)]
    schema = pa.schema([("outline", pa.binary())])
    with pq.ParquetFile(found) as table, pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in table.iter_batches(_ROWS, columns=["outline"], use_threads=False):
            boxes.append(shapely.bounds(shapely.from_wkb(batch["outline"].to_pylist())).astype(np.float32))
            writer.write_batch(pa.RecordBatch.from_arrays([batch["outline"]], schema=schema))
    return Outlines(path, np.concatenate(boxes))


def building_ids(made: DamageMap, folder: Path, store: ObjectStore) -> tuple[str, ...]:
    """Returns the ids of a map's buildings, in the order of its table."""
    path = fetch(made.buildings, folder / "buildings.parquet", store)
    return tuple(pq.read_table(path, columns=["id"], use_threads=False)["id"].to_pylist())


def fetch(blob: Blob, path: Path, store: ObjectStore) -> Path:
    """Copies a published object to local disk and checks it.

    Raises:
        SiameseError: It is missing or differs from what was published.
    """
    store.download(S3Uri.parse(blob.uri), path)
    if file_sha256(path) != blob.sha256:
        raise SiameseError("is not what was published", where=blob.uri, fix="restore the version with its sha256")
    return path
