"""Params of ``siamese register`` and ``siamese promote``."""

from __future__ import annotations

from pydantic import Field

from siamese.params.section import Section


class PromotionParams(Section):
    """When a candidate becomes champion. A floor is the least F1 that it must reach on the frozen split."""

    model: str = Field(
        "siamese-damage",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="Name of the registered model in MLflow.",
    )
    minimum_gain: float = Field(
        0.0, ge=-1, le=1, description="Score that the candidate must gain over the champion; 0 lets equals through."
    )
    minimum_localization_f1: float = Field(0.0, ge=0, le=1, description="Floor of the localization F1.")
    minimum_f1_no_damage: float = Field(0.0, ge=0, le=1, description="Floor of this class's F1.")
    minimum_f1_minor_damage: float = Field(0.0, ge=0, le=1, description="Floor of this class's F1.")
    minimum_f1_major_damage: float = Field(0.0, ge=0, le=1, description="Floor of this class's F1.")
    minimum_f1_destroyed: float = Field(0.0, ge=0, le=1, description="Floor of this class's F1.")
