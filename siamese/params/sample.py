"""Params of ``siamese sample``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from siamese.params.section import Section


class SampleParams(Section):
    """Made-up scenes for a first look and for tests of scale."""

    scenes: int = Field(48, gt=0, le=1_000_000, description="How many scenes.")
    seed: int = Field(1, ge=0, description="Same seed, same bytes.")
    event: Literal["wind", "flood", "fire", "mixed"] = Field("mixed", description="What struck.")
