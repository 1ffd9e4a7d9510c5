"""Params of ``siamese map``."""

from __future__ import annotations

from pydantic import Field

from siamese.params.section import Section


class MappingParams(Section):
    """How a map is made."""

    tile_px: int = Field(1024, gt=0, multiple_of=32, description="Side of the window that the network sees at once.")
    overlap_px: int = Field(128, ge=0, description="Overlap of neighbouring windows.")
    minimum_building_m2: float = Field(4.0, ge=0, description="Smaller components are not reported.")
