"""Params of ``siamese evaluate``."""

from __future__ import annotations

from pydantic import Field

from siamese.params.section import Section


class EvaluationParams(Section):
    """How a network is scored."""

    split: str = Field("test", pattern="^(train|val|test)$", description="Split that is scored.")
    iou: float = Field(0.5, gt=0, le=1, description="Overlap from which a predicted building is a match.")
