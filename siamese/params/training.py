"""Params of ``siamese train``."""

from __future__ import annotations

from pydantic import Field

from siamese.params.section import Section


class TrainingParams(Section):
    """How the network is trained."""

    epochs: int = Field(30, gt=0, description="At most this many epochs.")
    minutes: float | None = Field(None, gt=0, description="Stop training after about this long, over all restarts.")
    seed: int = Field(1, ge=0, description="Same seed, same machine, same weights (when minutes is not set).")
    batch: int = Field(8, gt=0, description="Crops in a step.")
    crop_px: int = Field(256, gt=0, multiple_of=32, description="Side of a crop in pixels.")
    learning_rate: float = Field(1e-3, gt=0, description="Peak of the schedule.")
    weight_decay: float = Field(1e-2, ge=0)
