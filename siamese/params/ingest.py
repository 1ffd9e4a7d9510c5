"""Params of ``siamese ingest``."""

from __future__ import annotations

from pydantic import Field

from siamese.params.section import HOW_ONLY, Section


class IngestParams(Section):
    """What is accepted from raw storage."""

    source: str = Field("s3://raw/scenes", description="Prefix that scenes are read from.")
    workers: int = Field(8, gt=0, le=64, description="Objects read at once.", json_schema_extra=HOW_ONLY)
    max_side_px: int = Field(16_384, gt=0, description="A larger image is quarantined.")
    max_vertices: int = Field(100_000, gt=0, description="A label with more vertices in one polygon is quarantined.")
