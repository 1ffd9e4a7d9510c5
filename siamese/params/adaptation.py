"""Params of ``siamese select``, ``adapt`` and ``assess``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from siamese.params.section import Section

Strength = Annotated[float, Field(gt=0, le=100)]


class AdaptationParams(Section):
    """How a map learns from a person's labels, and which labels it asks for."""

    match_iou: float = Field(
        0.25,
        gt=0,
        le=1,
        description="A labelled polygon without a building's id means the building that it overlaps most, from this "
        "intersection over union, or else the one that holds its middle.",
    )
    components: int = Field(32, ge=1, le=256, description="Main directions of the vectors that the model looks at.")
    flatten: float = Field(
        0.5, ge=0, le=1, description="0: directions weigh as much as they vary; 1: all weigh the same."
    )
    order: float = Field(
        0.5, ge=0, le=1, description="How far what speaks for a class speaks for the classes beside it too."
    )
    shift: float = Field(0.25, ge=0, le=10, description="How far a class's logit may move for the whole map.")
    trust: float = Field(
        0.25, ge=0, le=10, description="How far the weight of the network's own opinion may move from 1."
    )
    strengths: tuple[Strength, ...] = Field(
        (0.5, 1.0, 2.0),
        min_length=1,
        description="How far vectors may move logits; the one by which the others explain each label best is taken.",
    )
    rare: float = Field(
        6.0,
        ge=1,
        le=100,
        description="A rare class's probability may count so many times, at most, when a building gets its class; "
        "what counts best for the expected mean F1 is computed.",
    )
    unsure: float = Field(0.5, ge=0, le=4, description="How much `select` prefers buildings that the map is unsure of.")
    severity: float = Field(0.25, ge=0, le=100, description="Weight of the map's opinion where `select` compares.")
    place: float = Field(0.5, ge=0, le=100, description="Weight of the place where `select` compares buildings.")
    least: int = Field(5, ge=1, description="Of each mapped class, `assess` draws at least so many, if it can.")
