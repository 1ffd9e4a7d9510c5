"""Params of ``siamese register`` and ``siamese promote``."""

from __future__ import annotations

from pydantic import Field

from siamese.params.section import Section

_FLOOR = "Floor of this class's F1; a class that the split holds no pixel of is not judged."


class PromotionParams(Section):
    """When a candidate becomes champion.

    A floor is the least F1 that a candidate must reach on the frozen split, whether there is a champion or not. The
    defaults refuse a network that has not learned a class at all; raise them to what your maps must hold. A candidate
    that finds no building of the split is refused whatever the params.
    """

    model: str = Field(
        "siamese-damage",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="Name of the registered model in MLflow.",
    )
    minimum_gain: float = Field(
        0.005,
        ge=-1,
        le=1,
        description="Score that a candidate must gain over the champion, at least. 0 lets an equal score through; "
        "below 0 a lower one too, e.g. for a faster network.",
    )
    minimum_localization_f1: float = Field(0.2, ge=0, le=1, description="Floor of the localization F1; 0 sets none.")
    minimum_f1_no_damage: float = Field(0.2, ge=0, le=1, description=_FLOOR)
    minimum_f1_minor_damage: float = Field(0.05, ge=0, le=1, description=_FLOOR)
    minimum_f1_major_damage: float = Field(0.1, ge=0, le=1, description=_FLOOR)
    minimum_f1_destroyed: float = Field(0.1, ge=0, le=1, description=_FLOOR)
