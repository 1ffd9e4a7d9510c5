"""Params of the network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from siamese.params.section import Section

Channels = Annotated[int, Field(ge=4, le=1024)]


class NetworkParams(Section):
    """The Siamese U-Net: one encoder for both dates, fusion at every scale, a decoder, two heads."""

    encoder: str = Field("tf_efficientnet_lite0", min_length=1, description="Encoder, by timm name.")
    pretrained: bool = Field(True, description="Start from ImageNet weights when the machine has or reaches them.")
    fusion: Literal["difference", "concat"] = Field(
        "concat",
        description="How two dates become one, at every scale: |post - pre|, or learned from pre, post and it.",
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
    deep_supervision: bool = Field(True, description="Extra heads on the coarser decoder scales while training.")
