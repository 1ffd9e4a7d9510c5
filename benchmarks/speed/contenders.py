"""The contenders to be measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from siamese.params import NetworkParams

Runner = Literal["auto", "torch bf16", "torch fp32", "openvino int8", "openvino bf16", "openvino fp32", "eager fp32"]


@dataclass(frozen=True)
class Contender:
    """A network and the backend that runs it."""

    name: str
    runner: Runner
    reference: bool = False
    """Whether to use the ResNet-34 network instead of ours."""
    tuned: bool = True
    """Whether it is started with siamese.allocator's environment."""


OURS = Contender("siamese", "auto")
REFERENCE = Contender("reference", "eager fp32", reference=True, tuned=False)
REFERENCE_TOLD = (
    "own Siamese U-Net, encoder resnet34, fusion concat, buildings found in the fused dates, decoder 256-128-64-64, "
    "eager fp32, default allocator"
)
ALONE = (
    Contender("openvino_int8", "openvino int8"),
    Contender("openvino_bf16", "openvino bf16"),
    Contender("openvino_fp32", "openvino fp32"),
    Contender("torch_bf16", "torch bf16"),
    Contender("torch_fp32", "torch fp32"),
    Contender("eager_fp32", "eager fp32"),
)
CONTENDERS = {contender.name: contender for contender in (OURS, REFERENCE, *ALONE)}


def shape(contender: Contender, encoder: str) -> NetworkParams:
    """Returns the network params of the contender."""
    from siamese.params import NetworkParams

    if not contender.reference:
        return NetworkParams(encoder=encoder, pretrained=False)
    return NetworkParams(
        encoder="resnet34",
        pretrained=False,
        fusion="concat",
        localization="fused",
        decoder_channels=(256, 128, 64, 64),
        disaster_film=False,
    )
