"""Params of ``siamese ingest``."""

from __future__ import annotations

from pydantic import Field

from siamese.params.section import HOW_ONLY, Section


class IngestParams(Section):
    """What is accepted from raw storage."""

    source: str = Field("s3://raw/scenes", description="Prefix that scenes are read from, or one archive.")
    workers: int = Field(8, gt=0, le=64, description="Scenes read at once.", json_schema_extra=HOW_ONLY)
    bands: tuple[int, ...] = Field(
        (3,),
        min_length=1,
        description="Numbers of bands that an image may have, alpha not counted; the dates of a scene may differ.",
    )
    max_side_px: int = Field(16_384, gt=0, description="A wider or higher image is quarantined.")
    max_image_mib: int = Field(512, gt=0, description="A larger image file is quarantined unread.")
    max_label_mib: int = Field(64, gt=0, description="A larger label file is quarantined unread.")
    max_vertices: int = Field(100_000, gt=0, description="A label with more vertices in one polygon is quarantined.")
    outside_px: float = Field(16.0, ge=0, description="How far a polygon may reach over the tile's edge, in pixels.")
    max_residual_px: float = Field(
        1.0, gt=0, description="A georeference fitted from a label is kept when no vertex is further off, in pixels."
    )
    crs: str | None = Field(
        None, description="CRS of images that have coordinates but name none, such as EPSG:32613; others keep theirs."
    )
    max_unpack_ratio: float = Field(
        100.0, gt=1, description="A gzip archive that unpacks to more than this many times its size is a bomb."
    )
