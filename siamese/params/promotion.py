"""Params of ``siamese promote``."""

from __future__ import annotations

from pydantic import Field

from siamese.params.section import Section


class PromotionParams(Section):
    """When a candidate becomes champion."""

    model: str = Field("siamese-damage", description="Name of the registered model in MLflow.")
    minimum_gain: float = Field(0.0, description="Score that the candidate must gain over the champion.")
    minimum_localization_f1: float = Field(0.0, ge=0, le=1)
    minimum_f1_no_damage: float = Field(0.0, ge=0, le=1)
    minimum_f1_minor_damage: float = Field(0.0, ge=0, le=1)
    minimum_f1_major_damage: float = Field(0.0, ge=0, le=1)
    minimum_f1_destroyed: float = Field(0.0, ge=0, le=1)
