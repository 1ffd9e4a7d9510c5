"""Params of ``siamese pretrain``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from siamese.params.section import HOW_ONLY, Section, neutral


class PretrainingParams(Section):
    """How an encoder learns from images without labels."""

    method: Literal["simsiam", "byol", "dino"] = Field(
        "byol", description="What is learned from two views.", json_schema_extra=neutral("simsiam")
    )
    epochs: int = Field(
        100, gt=0, description="At most this many epochs; one shows as many places as cover all scenes."
    )
    minutes: float | None = Field(None, gt=0, description="Stop after about this long, over all restarts.")
    clock: Literal["wall", "processor"] = Field(
        "wall", description="What minutes counts: wall time, or processor time, that others' work does not shorten."
    )
    seed: int = Field(1, ge=0, description="Same seed, same machine, same weights (when minutes is not set).")
    batch: int = Field(32, ge=2, le=4096, description="Places in a step.")
    crop_px: int = Field(160, gt=0, le=1024, multiple_of=32, description="Side of a view in pixels.")

    views: Literal["augmented", "dates"] = Field(
        "augmented",
        description="augmented: both views from one date, drawn for each place among those with the encoder's bands; "
        "dates: one from pre, one from post, which teaches the encoder to ignore season and light, but damage as well.",
    )
    context: float = Field(
        1.5, ge=1, le=8, description="Side of the place that all views are cut from, in sides of a view."
    )
    min_area: float = Field(0.3, gt=0, le=1, description="A view shows this share of its place's area, or more.")
    colour_jitter: float = Field(0.4, ge=0, le=1, description="Strength of the colour changes, drawn for each view.")
    grey_share: float = Field(0.2, ge=0, le=1, description="Share of views without colour (RGB).")
    blur_share: float = Field(0.5, ge=0, le=1, description="Share of views that are blurred.")

    hidden_dim: int = Field(1024, ge=8, le=16_384, description="Width of the layers inside projector and predictor.")
    projection_dim: int = Field(256, ge=8, le=16_384, description="Width of the embedding that is compared.")
    momentum: float = Field(
        0.99, ge=0, lt=1, description="How slowly the teacher follows at first; 1 at the end (method: byol, dino)."
    )
    local_crops: int = Field(4, ge=0, le=16, description="Small views beside the two large ones (method: dino).")
    local_px: int = Field(64, gt=0, le=1024, multiple_of=32, description="Side of a small view (method: dino).")
    local_min_area: float = Field(
        0.05, gt=0, le=1, description="A small view shows from this share of its place to min_area (method: dino)."
    )
    prototypes: int = Field(1024, ge=2, le=131_072, description="Classes that the teacher sorts into (method: dino).")
    student_temperature: float = Field(0.1, gt=0, le=10, description="Softness of the student (method: dino).")
    teacher_temperature: float = Field(
        0.04, gt=0, le=10, description="Softness of the teacher, sharper than the student (method: dino)."
    )
    center_momentum: float = Field(
        0.9, ge=0, lt=1, description="How slowly the teacher's mean is followed (method: dino)."
    )

    learning_rate: float = Field(5e-4, gt=0, description="Peak learning rate of the schedule.")
    weight_decay: float = Field(1e-2, ge=0, description="Of all weights but biases and batch norm.")
    warmup_share: float = Field(0.05, ge=0, lt=1, description="Share of the work in which the rate rises.")
    clip_norm: float = Field(3.0, gt=0, description="Gradients are clipped to this norm.")

    checkpoint_seconds: float = Field(
        60.0, gt=0, description="Time between two resumable states.", json_schema_extra=HOW_ONLY
    )
    loader_threads: int = Field(2, gt=0, le=64, description="Batches prepared at once.", json_schema_extra=HOW_ONLY)

    @field_validator("local_min_area")
    @classmethod
    def _smaller(cls, value: float, info: ValidationInfo) -> float:
        if value > info.data.get("min_area", 1.0):
            raise ValueError("is above pretraining.min_area")
        return value
