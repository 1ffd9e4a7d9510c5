"""Params of the network."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from siamese.params.section import Section

Channels = Annotated[int, Field(ge=4, le=1024)]
Bands = Annotated[int, Field(ge=1, le=64)]


class NetworkParams(Section):
    """The Siamese U-Net: an encoder for each date, fusion at every scale, a decoder, heads."""

    relation: Literal["classic", "pseudo", "asymmetric"] = Field(
        "classic",
        description="How the dates' encoders relate. classic: one encoder, shared weights; pseudo: the same encoder "
        "twice, weights of their own; asymmetric: encoders and bands may differ, e.g. optical before and SAR after.",
    )
    encoder: str = Field(
        "tf_efficientnet_lite0",
        min_length=1,
        description="Encoder: a timm name (of convolutions or a ViT), or plain: four blocks, 64-128-256-512.",
    )
    post_encoder: str | None = Field(
        None, min_length=1, description="Encoder of the post image (relation: asymmetric); none: the same kind."
    )
    bands: Bands = Field(3, description="Bands of the pre image, and of the post image if post_bands is not set.")
    post_bands: Bands | None = Field(None, description="Bands of the post image (relation: asymmetric).")
    pretrained: bool = Field(True, description="Start from ImageNet weights when the machine has or reaches them.")
    fusion: Literal["difference", "signed", "concat", "attention"] = Field(
        "signed",
        description="How two dates become one, at every scale. difference: |post - pre|. Learned 1x1 mixes: signed, of "
        "pre, post and post - pre; concat, of pre, post and |post - pre|; attention, of post and of |post - pre| after "
        "every post pixel has looked for its like among the 3x3 pre pixels around it.",
    )
    heads: Literal["two", "joint"] = Field(
        "two",
        description="two: localization and damage; joint: one of 5 classes (localization: fused, damage: nominal).",
    )
    damage: Literal["nominal", "ordinal"] = Field(
        "ordinal",
        description="nominal: a logit for each damage class; ordinal: one severity and three ordered thresholds.",
    )
    disaster_film: bool = Field(
        True, description="Condition the fused features on the disaster type (FiLM); unknown is a type too."
    )
    localization: Literal["pre", "fused"] = Field(
        "pre", description="What buildings are found in: the pre image by a decoder of its own, or the fused dates."
    )
    decoder_channels: tuple[Channels, ...] = Field(
        (128, 64, 48), min_length=1, max_length=6, description="Damage decoder, deep to shallow, one a scale."
    )
    localization_channels: tuple[Channels, ...] = Field(
        (96, 64, 32, 16), min_length=1, max_length=6, description="Localization decoder (localization: pre)."
    )
    attention_gates: bool = Field(True, description="Gate skip connections (Oktay et al. 2018).")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Share of the fused channels that are dropped for each crop while training."
    )
    deep_supervision: bool = Field(True, description="Extra heads on the coarser decoder scales while training.")

    @model_validator(mode="after")
    def _parts_go_together(self) -> Self:
        if self.relation != "asymmetric" and (self.post_encoder is not None or self.post_bands is not None):
            raise ValueError("post_encoder and post_bands need relation: asymmetric")
        if self.heads == "joint" and self.localization != "fused":
            raise ValueError("heads: joint finds buildings in the fused dates; it needs localization: fused")
        if self.heads == "joint" and self.damage == "ordinal":
            raise ValueError("heads: joint has a logit for each class; it needs damage: nominal")
        return self

    @property
    def input_bands(self) -> tuple[int, int]:
        """Number of bands of the pre and the post image."""
        return self.bands, self.post_bands or self.bands
