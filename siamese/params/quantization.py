"""Params of ``siamese quantize``."""

from __future__ import annotations

from pydantic import Field

from siamese.params.section import Section


class QuantizationParams(Section):
    """How a network becomes one of 8-bit integers."""

    scenes: int = Field(
        24, gt=0, le=1000, description="At most so many scenes of the train split, for the ranges of numbers."
    )
