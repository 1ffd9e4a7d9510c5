"""Params of the network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from siamese.params.section import Section


class NetworkParams(Section):
    """The Siamese U-Net: one encoder for both dates, fusion at every scale, a decoder, two heads."""

    encoder: str = Field("resnet34", description="Encoder, by timm name.")
    pretrained: bool = Field(True, description="Start from ImageNet weights when the machine has them.")
    fusion: Literal["difference", "concat"] = Field("concat", description="How two dates become one, at every scale.")
    decoder_channels: tuple[int, ...] = Field((256, 128, 64, 32, 16), description="Deep to shallow.")
    attention_gates: bool = Field(True, description="Gate skip connections (Oktay et al. 2018).")
    deep_supervision: bool = Field(True, description="Extra heads on the coarser decoder levels while training.")
