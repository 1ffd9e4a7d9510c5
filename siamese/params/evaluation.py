"""Params of ``siamese evaluate``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from siamese.params.section import HOW_ONLY, Section


class EvaluationParams(Section):
    """How a network is scored."""

    split: Literal["train", "val", "test"] = Field("test", description="Split that is scored.")
    iou: float = Field(0.5, gt=0, le=1, description="Overlap from which a predicted building is a match.")
    flips: Literal[1, 2, 4] = Field(
        1, description="Views of each pair that are averaged: as it is, mirrored, upside down, both."
    )
    resamples: int = Field(1000, gt=0, le=100_000, description="Draws of the bootstrap over scenes.")
    seed: int = Field(1, ge=0, description="Seed of the bootstrap.")
    worst: int = Field(10, ge=0, description="Scenes listed as failures.")
    workers: int = Field(2, gt=0, le=64, description="Scenes read and counted at once.", json_schema_extra=HOW_ONLY)
