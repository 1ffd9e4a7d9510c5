"""The scene catalog: one row per scene, in Parquet, written and read in row groups."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from affine import Affine
from pydantic import BaseModel, ConfigDict, Field

from siamese.classes import SUBTYPES
from siamese.errors import SiameseError
from siamese.geo.georeference import Source
from siamese.ingest.tar import ArchiveError
from siamese.ingest.zip import unpack
from siamese.manifests import SceneCatalog
from siamese.store import Blob, ObjectStore, S3Uri, file_sha256

Verdict = Literal["accepted", "unlabelled", "quarantined"]
OfficialSplit = Literal["train", "tier3", "test", "hold"]
Role = Literal["pre_image", "post_image", "pre_label", "post_label", "pre_sidecar", "post_sidecar"]
"""A sidecar is a file beside an image that georeferences it."""
ROW_GROUP: Final = 1024


class ObjectRef(BaseModel):
    """Bytes on object storage: a whole object or a byte range of an archive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    version_id: str | None = Field(None, description="Of the object, where the bucket keeps versions.")
    start: int = Field(0, ge=0, description="First byte within the object.")
    length: int = Field(ge=0, description="Bytes, unpacked.")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Of these bytes.")
    deflated: int | None = Field(
        None, ge=0, description="Bytes from start that are to be unpacked, of a deflated member of a zip."
    )

    def read(self, store: ObjectStore) -> bytes:
        """Reads the bytes and checks them against the sha256.

        Raises:
            SiameseError: The object is gone or has changed since it was ingested.
        """
        uri = S3Uri.parse(self.uri)
        length = self.length if self.deflated is None else self.deflated
        data = store.get(uri, version_id=self.version_id, start=self.start, length=length)
        try:
            data = data if self.deflated is None else unpack(data, self.length)
        except ArchiveError as error:
            raise self._changed() from error
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise self._changed()
        return data

    def _changed(self) -> SiameseError:
        return SiameseError("is no longer what was ingested", where=self.uri, fix="ingest again")


class Scene(BaseModel):
    """One row of the catalog."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scene: str = Field(description="<disaster>_<number>; of a file that belongs to no scene, its name.")
    disaster: str = ""
    disaster_type: str | None = None
    verdict: Verdict
    reasons: tuple[str, ...] = Field((), description="Why it is quarantined.")
    notes: tuple[str, ...] = Field((), description="What was found and tolerated.")
    official_split: OfficialSplit | None = None
    pre_image: ObjectRef | None = None
    post_image: ObjectRef | None = None
    pre_label: ObjectRef | None = None
    post_label: ObjectRef | None = None
    width: int | None = Field(None, description="Pixels.")
    height: int | None = Field(None, description="Pixels.")
    bands: int | None = Field(None, description="Of the pre image, without alpha.")
    post_bands: int | None = Field(None, description="Of the post image.")
    pixel_m: float | None = Field(None, description="Side of a pixel on the ground in metres, by the georeference.")
    gsd_m: float | None = Field(None, description="Of the post sensor, by the metadata; a pixel of xBD is smaller.")
    pre_date: str | None = Field(None, description="Capture, ISO 8601.")
    post_date: str | None = Field(None, description="Capture, ISO 8601.")
    pre_sensor: str | None = None
    post_sensor: str | None = None
    crs: str | None = None
    transform: tuple[float, float, float, float, float, float] | None = Field(
        None, description="a b c d e f: x = a column + b row + c, y = d column + e row + f."
    )
    georeference: Source | None = None
    residual_px: float | None = Field(None, description="Worst vertex of the fit from the label.")
    bounds: tuple[float, float, float, float] | None = Field(None, description="West, south, east, north in degrees.")
    buildings: dict[str, int] = Field(default_factory=dict, description="By subtype, after the disaster.")
    identity: str = Field(description="Hash over all objects of the scene: same identity, same row.")

    @property
    def affine(self) -> Affine | None:
        """Returns the transform from (column, row) to coordinates of the crs; None without one."""
        return Affine(*self.transform) if self.transform else None


class InventoryEntry(BaseModel):
    """One object or archive member under the prefix, with its role and the reason for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Below the prefix; of a member, archive:member.")
    scene: str = Field(description="The scene it belongs to; of others, their name.")
    role: Role | Literal["archive", "ignored", "quarantined"]
    reason: str | None = Field(None, description="Why it is ignored or quarantined.")
    split: OfficialSplit | None = None
    uri: str
    version_id: str | None = None
    etag: str = ""
    start: int = Field(0, ge=0, description="First byte; of a member of a zip, that of its local header.")
    length: int = Field(ge=0, description="Bytes, unpacked.")
    sha256: str | None = Field(None, description="Known of members of compressed or split archives.")
    archive: str | None = Field(None, description="Identity of the archive it lies in.")
    packed: int | None = Field(None, ge=0, description="Bytes in the archive, of a member of a zip.")
    method: Literal["stored", "deflated"] | None = Field(None, description="How a member of a zip lies there.")
    crc32: int | None = Field(None, ge=0, description="Of a member of a zip, by its directory.")


_REF = pa.struct(
    [
        ("uri", pa.string()),
        ("version_id", pa.string()),
        ("start", pa.int64()),
        ("length", pa.int64()),
        ("sha256", pa.string()),
        ("deflated", pa.int64()),
    ]
)
SCENE_SCHEMA: Final = pa.schema(
    [
        pa.field("scene", pa.string(), nullable=False),
        ("disaster", pa.string()),
        ("disaster_type", pa.string()),
        ("verdict", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("notes", pa.list_(pa.string())),
        ("official_split", pa.string()),
        ("pre_image", _REF),
        ("post_image", _REF),
        ("pre_label", _REF),
        ("post_label", _REF),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bands", pa.int32()),
        ("post_bands", pa.int32()),
        ("pixel_m", pa.float64()),
        ("gsd_m", pa.float64()),
        ("pre_date", pa.string()),
        ("post_date", pa.string()),
        ("pre_sensor", pa.string()),
        ("post_sensor", pa.string()),
        ("crs", pa.string()),
        ("transform", pa.list_(pa.float64())),
        ("georeference", pa.string()),
        ("residual_px", pa.float64()),
        ("bounds", pa.list_(pa.float64())),
        ("buildings", pa.struct([(subtype, pa.int32()) for subtype in SUBTYPES])),
        ("identity", pa.string()),
    ]
)
_INVENTORY_TYPES: Final = dict.fromkeys(("start", "length", "packed", "crc32"), pa.int64())
INVENTORY_SCHEMA: Final = pa.schema(
    [(name, _INVENTORY_TYPES.get(name, pa.string())) for name in InventoryEntry.model_fields]
)


def row_of(entry: BaseModel, schema: pa.Schema) -> tuple[object, ...]:
    """Returns an entry's values in the order of a schema's columns."""
    values = entry.model_dump()
    return tuple(None if values[name] == {} else values[name] for name in schema.names)


def read_catalog(store: ObjectStore, catalog: SceneCatalog) -> Iterator[Scene]:
    """Yields the rows of a catalog in order of scene, reading a row group at a time.

    Raises:
        SiameseError: The table is missing or differs from what was published.
    """
    for row in _rows(store, catalog.table):
        row["buildings"] = row["buildings"] or {}
        yield Scene.model_validate(row)


def read_inventory(store: ObjectStore, catalog: SceneCatalog) -> Iterator[InventoryEntry]:
    """Yields every object and archive member that was under the prefix, in order of name.

    Raises:
        SiameseError: The table is missing or differs from what was published.
    """
    for row in _rows(store, catalog.inventory):
        yield InventoryEntry.model_validate(row)


def _rows(store: ObjectStore, table: Blob) -> Iterator[dict[str, object]]:
    with tempfile.TemporaryDirectory(prefix="siamese-") as folder:
        path = Path(folder) / "table.parquet"
        store.download(S3Uri.parse(table.uri), path)
        if file_sha256(path) != table.sha256:
            raise SiameseError("is not what was published", where=table.uri, fix="restore the version with its sha256")
        with pq.ParquetFile(path) as parquet:
            for batch in parquet.iter_batches(ROW_GROUP):
                yield from batch.to_pylist()
