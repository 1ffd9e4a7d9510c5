"""The Siamese U-Net in its classic form: one encoder for both dates, fusion at every scale, decoders, two heads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from siamese.classes import DAMAGE_CLASSES
from siamese.errors import SiameseError
from siamese.model.decoder import Decoder
from siamese.model.encoders import Encoder
from siamese.model.fusion import build_fusion
from siamese.model.heads import Head
from siamese.params import NetworkParams


@dataclass(frozen=True)
class NetworkOutput:
    """Logits of a batch, float32.

    Attributes:
        localization: ``(N, 1, H, W)``.
        damage: ``(N, 4, H, W)``.
        coarse_localization: The same at coarser scales, for deep supervision; empty outside training.
        coarse_damage: The same at coarser scales, for deep supervision; empty outside training.
    """

    localization: Tensor
    damage: Tensor
    coarse_localization: tuple[Tensor, ...] = ()
    coarse_damage: tuple[Tensor, ...] = ()


class SiameseUNet(nn.Module):
    """Two dates in, logits of buildings and of their damage out."""

    def __init__(self, params: NetworkParams) -> None:
        super().__init__()
        self.params = params
        self.encoder = Encoder(params.encoder)
        # A decoder of n steps looks at the deepest n + 1 scales; shallower ones need no fusion.
        fused = self.encoder.channels[-len(params.decoder_channels) - 1 :]
        self.fusion = nn.ModuleList(build_fusion(params.fusion, width) for width in fused)
        self.damage_decoder, self.damage_head = self._branch(params.decoder_channels, len(DAMAGE_CLASSES))
        self.localization_decoder: Decoder | None = None
        if params.localization == "pre":
            self.localization_decoder, self.localization_head = self._branch(params.localization_channels, 1)
        else:
            self.localization_head = self._head(params.decoder_channels, 1)

    @property
    def multiple(self) -> int:
        """Sides inside the network are multiples of this many pixels."""
        return self.encoder.reductions[-1]

    def forward(self, pre: Tensor, post: Tensor, disaster: Tensor | None = None) -> NetworkOutput:
        """The logits of a batch.

        Args:
            pre: ``(N, 3, H, W)`` float32 in 0..1, of any H and W.
            post: The same after the disaster.
            disaster: ``(N,)`` int64, positions in :data:`siamese.classes.DISASTER_TYPES`; None: all unknown.
        """
        del disaster
        _check(pre, post)
        height, width = pre.shape[-2:]
        both = _padded(torch.cat([pre, post]), self.multiple)
        pyramid = self.encoder(both)
        before = [level[: len(pre)] for level in pyramid]
        deepest = [level.split(len(pre)) for level in pyramid[-len(self.fusion) :]]
        fused = [fuse(one, two) for fuse, (one, two) in zip(self.fusion, deepest, strict=True)]
        maps = self.damage_decoder(fused)
        damage, coarse_damage = self.damage_head(maps)
        if self.localization_decoder is not None:
            maps = self.localization_decoder(before)
        localization, coarse_localization = self.localization_head(maps)
        return NetworkOutput(
            localization[..., :height, :width], damage[..., :height, :width], coarse_localization, coarse_damage
        )

    def _branch(self, channels: tuple[int, ...], classes: int) -> tuple[Decoder, Head]:
        decoder = Decoder(self.encoder.channels, channels, gated=self.params.attention_gates)
        return decoder, self._head(channels, classes)

    def _head(self, channels: tuple[int, ...], classes: int) -> Head:
        deepest = self.encoder.reductions[-1]
        if 2 ** len(channels) > deepest:
            what = f"{len(channels)} steps up from 1/{deepest} go beyond the image"
            fix = f"give at most {deepest.bit_length() - 1} channels"
            raise SiameseError(what, where="network.decoder_channels", fix=fix)
        reduction = deepest // 2 ** len(channels)
        return Head(channels, classes, reduction=reduction, deep_supervision=self.params.deep_supervision)


def build_network(params: NetworkParams) -> SiameseUNet:
    """Builds the network with random weights; see :func:`siamese.model.load_imagenet` for a better start.

    Raises:
        SiameseError: The encoder is unknown or unfit, or the decoder does not fit it.
    """
    return SiameseUNet(params)


def _check(pre: Tensor, post: Tensor) -> None:
    if pre.shape != post.shape or pre.ndim != 4 or pre.shape[1] != 3 or 0 in pre.shape:
        what = f"pre {tuple(pre.shape)} and post {tuple(post.shape)} are not two (N, 3, H, W) of one shape"
        raise SiameseError(what, where="network input", fix="give both dates as RGB on one grid")


def _padded(images: Tensor, multiple: int) -> Tensor:
    height, width = images.shape[-2:]
    below, right = -height % multiple, -width % multiple
    if not below and not right:
        return images
    return functional.pad(images, (0, right, 0, below), mode="replicate")
