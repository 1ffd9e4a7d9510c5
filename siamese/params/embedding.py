"""Params of ``siamese similarity embed`` and ``search``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from siamese.params.section import HOW_ONLY, Section


class EmbeddingParams(Section):
    """How buildings, images and scenes become vectors."""

    encoder: str = Field(
        "map",
        description="What makes the vectors. map: the damage network that made the map; a timm name, e.g. "
        "tf_efficientnet_lite0; or a similarity model: similarity:latest, similarity:DIGEST, models:/NAME@ALIAS.",
    )
    strides: tuple[int, ...] = Field(
        (8, 16),
        description="Strides in pixels of the damage network's features that are pooled inside an outline, of the "
        "pre image, of the post image and of both fused.",
    )
    decoded: bool = Field(True, description="Also pool every scale of the damage decoder.")
    window_px: int = Field(
        1152,
        ge=128,
        le=8192,
        multiple_of=32,
        description="Side of the window that the damage network sees at once, at most.",
    )
    margin_px: int = Field(
        128,
        ge=0,
        multiple_of=32,
        description="Ground around the buildings of a window that the network sees too; at most a quarter of the "
        "window. A building's vector depends on the ground alone, however maps were cut into windows.",
    )
    context: float = Field(
        0.5,
        ge=0,
        le=8,
        description="Ground around a building that its chip shows, on each side, in lengths of its longer side "
        "(encoders other than map).",
    )
    chip_px: int = Field(
        128, ge=16, le=1024, multiple_of=16, description="Side that chips and images are scaled to before an encoder."
    )
    normalise: bool = Field(False, description="Give each vector length 1; search measures cosine either way.")
    batch: int = Field(64, ge=1, le=4096, description="Chips encoded at once.", json_schema_extra=HOW_ONLY)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.margin_px * 4 > self.window_px:
            raise ValueError(f"margin_px {self.margin_px} is more than a quarter of window_px {self.window_px}")
        if not self.strides and not self.decoded:
            raise ValueError("neither strides nor decoded: a vector would be empty")
        return self


class SearchParams(Section):
    """How vectors are compared, and when approximately."""

    metric: Literal["cosine", "l2"] = Field("cosine", description="Distance of two vectors.")
    standardise: bool = Field(
        True,
        description="Give each element mean 0 and deviation 1 over the index first, so that no loud feature decides; "
        "not done for fewer than 32 vectors.",
    )
    exact_up_to: int = Field(
        50_000,
        ge=0,
        description="Up to so many vectors every one is compared; of more, those of the nearest cells.",
        json_schema_extra=HOW_ONLY,
    )
    cells: int | None = Field(
        None,
        ge=1,
        description="Cells that the vectors are sorted into (approximate); null: twice the root of their number.",
    )
    probes: int = Field(
        32, ge=1, description="Cells that a query looks into (approximate).", json_schema_extra=HOW_ONLY
    )
