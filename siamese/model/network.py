"""The Siamese U-Net: an encoder for each date, fusion at every scale, decoders, heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from siamese.classes import DAMAGE_CLASSES
from siamese.errors import SiameseError
from siamese.model.decoder import Decoder
from siamese.model.encoders import Encoder
from siamese.model.film import DisasterFilm
from siamese.model.fusion import build_fusion
from siamese.model.heads import Head, OrderedThresholds, split_joint
from siamese.params import NetworkParams


class NetworkOutput(NamedTuple):
    """Logits of a batch, float32.

    Attributes:
        localization: ``(N, 1, H, W)``.
        damage: ``(N, 4, H, W)``; their softmax is the probability of each class on a building.
        coarse_localization: The same at coarser scales, for deep supervision; empty outside training.
        coarse_damage: The same at coarser scales, for deep supervision; empty outside training.
    """

    localization: Tensor
    damage: Tensor
    coarse_localization: tuple[Tensor, ...] = ()
    coarse_damage: tuple[Tensor, ...] = ()


class Localized(NamedTuple):
    """What the pre image alone provides: building logits, and the features from which damage is assessed.

    Attributes:
        logits: ``(N, 1, H, W)`` float32.
        coarse: The same at coarser scales; empty outside training.
        pyramid: Features of the pre image, shallow to deep, padded.
    """

    logits: Tensor
    coarse: tuple[Tensor, ...]
    pyramid: tuple[Tensor, ...]


class NetworkFeatures(NamedTuple):
    """What the network knows of a pair inside, before its heads; each map covers the padded images.

    Attributes:
        pre: Features of the pre image by stride in pixels, each ``(N, C, H / stride, W / stride)``.
        post: The same of the post image.
        fused: Both dates in one, at the strides that are fused.
        decoded: What the damage decoder makes of them, by stride.
    """

    pre: dict[int, Tensor]
    post: dict[int, Tensor]
    fused: dict[int, Tensor]
    decoded: dict[int, Tensor]


class SiameseUNet(nn.Module):
    """Takes images of two dates and returns logits of buildings and of their damage."""

    def __init__(self, params: NetworkParams) -> None:
        super().__init__()
        self.params = params
        pre_bands, post_bands = params.input_bands
        self.encoder = Encoder(params.encoder, pre_bands)
        self.post_encoder: Encoder | None = None
        if params.relation != "classic":
            self.post_encoder = Encoder(params.post_encoder or params.encoder, post_bands)
        channels = self._fused_channels()
        self.fusion = nn.ModuleList(build_fusion(params.fusion, *widths) for widths in channels)
        self.film = DisasterFilm([width for width, _ in channels]) if params.disaster_film else None
        classes = {"joint": 1 + len(DAMAGE_CLASSES), "two": len(DAMAGE_CLASSES)}[params.heads]
        self.thresholds = OrderedThresholds() if params.damage == "ordinal" else None
        self.damage_decoder = self._decoder(params.decoder_channels)
        self.damage_head = self._head(params.decoder_channels, classes if self.thresholds is None else 1)
        self.localization_decoder: Decoder | None = None
        self.localization_head: Head | None = None
        if params.localization == "pre":
            self.localization_decoder = self._decoder(params.localization_channels)
            self.localization_head = self._head(params.localization_channels, 1)
        elif params.heads == "two":
            self.localization_head = self._head(params.decoder_channels, 1)

    @property
    def multiple(self) -> int:
        """The number of pixels of which the sides inside the network are multiples."""
        return self.encoder.reductions[-1]

    def forward(self, pre: Tensor, post: Tensor, disaster: Tensor | None = None) -> NetworkOutput:
        """Returns the logits of a batch.

        Args:
            pre: ``(N, bands, H, W)`` float32 in 0..1, of any H and W.
            post: The same after the disaster, with its own number of bands.
            disaster: ``(N,)`` int64, positions in :data:`siamese.classes.DISASTER_TYPES`; None: all unknown.

        Raises:
            SiameseError: The images are not of one size, or have other bands than the network takes.
        """
        self._check(pre, post)
        height, width = pre.shape[-2:]
        before, after = self._pyramids(self._padded(pre), self._padded(post))
        maps = self._damage_maps(before, after, disaster)
        if self.params.heads == "joint":
            logits, coarse = self.damage_head(maps)
            localization, damage = split_joint(logits)
            pairs = [split_joint(level) for level in coarse]
            coarse_localization, coarse_damage = (tuple(pair[which] for pair in pairs) for which in (0, 1))
        else:
            damage, coarse_damage = self._damage(maps)
            localization, coarse_localization = self._localization(before, maps)
        return NetworkOutput(
            localization[..., :height, :width], damage[..., :height, :width], coarse_localization, coarse_damage
        )

    def localize(self, pre: Tensor) -> Localized:
        """Runs the first half of :meth:`forward`, which needs only the pre image (``localization: pre``).

        Args:
            pre: ``(N, bands, H, W)`` float32 in 0..1.

        Raises:
            SiameseError: The network finds buildings in the fused dates.
        """
        if self.localization_decoder is None:
            fix = "set network.localization: pre"
            raise SiameseError("finds buildings in the fused dates", where="network.localization", fix=fix)
        self._check(pre, None)
        height, width = pre.shape[-2:]
        pyramid = self.encoder(self._padded(pre))
        logits, coarse = self._localization(pyramid, ())
        return Localized(logits[..., :height, :width], coarse, tuple(pyramid))

    def assess(self, localized: Localized, post: Tensor, disaster: Tensor | None = None) -> Tensor:
        """Runs the second half: damage logits ``(N, 4, H, W)`` from :meth:`localize`'s result and the post image."""
        height, width = post.shape[-2:]
        after = (self.post_encoder or self.encoder)(self._padded(post))
        damage, _ = self._damage(self._damage_maps(localized.pyramid, after, disaster))
        return damage[..., :height, :width]

    def features(self, pre: Tensor, post: Tensor, disaster: Tensor | None = None) -> NetworkFeatures:
        """Returns what :meth:`forward` computes on the way: features of both dates, of their fusion, and decoded.

        Args:
            pre: ``(N, bands, H, W)`` float32 in 0..1, of any H and W.
            post: The same after the disaster, with its own number of bands.
            disaster: ``(N,)`` int64, positions in :data:`siamese.classes.DISASTER_TYPES`; None: all unknown.

        Raises:
            SiameseError: The images are not of one size, or have other bands than the network takes.
        """
        self._check(pre, post)
        before, after = self._pyramids(self._padded(pre), self._padded(post))
        fused = self._fuse(before, after, disaster)
        decoded: list[Tensor] = self.damage_decoder(fused)
        one, two = self.encoder.reductions, (self.post_encoder or self.encoder).reductions
        return NetworkFeatures(
            dict(zip(one, before, strict=True)),
            dict(zip(two, after, strict=True)),
            dict(zip(one[-len(fused) :], fused, strict=True)),
            {one[-1] // 2 ** (step + 1): level for step, level in enumerate(decoded)},
        )

    def _pyramids(self, pre: Tensor, post: Tensor) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        if self.post_encoder is not None:
            return self.encoder(pre), self.post_encoder(post)
        # In one batch, so that batch norm sees both dates.
        both = [level.split(len(pre)) for level in self.encoder(torch.cat([pre, post]))]
        return [level[0] for level in both], [level[1] for level in both]

    def _damage_maps(self, before: Sequence[Tensor], after: Sequence[Tensor], disaster: Tensor | None) -> list[Tensor]:
        maps: list[Tensor] = self.damage_decoder(self._fuse(before, after, disaster))
        return maps

    def _fuse(self, before: Sequence[Tensor], after: Sequence[Tensor], disaster: Tensor | None) -> list[Tensor]:
        scales = len(self.fusion)
        fused = [fuse(*pair) for fuse, *pair in zip(self.fusion, before[-scales:], after[-scales:], strict=True)]
        if self.film is not None:
            fused = self.film(fused, disaster)
        return [functional.dropout2d(level, self.params.dropout, self.training) for level in fused]

    def _damage(self, maps: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        damage, coarse = self.damage_head(maps)
        if self.thresholds is None:
            return damage, coarse
        return self.thresholds(damage), tuple(map(self.thresholds, coarse))

    def _localization(
        self, before: Sequence[Tensor], damage_maps: Sequence[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        assert self.localization_head is not None  # noqa: S101
        maps = damage_maps if self.localization_decoder is None else self.localization_decoder(before)
        found: tuple[Tensor, tuple[Tensor, ...]] = self.localization_head(maps)
        return found

    def _fused_channels(self) -> list[tuple[int, int]]:
        """Returns the pre and post channels of each fused scale: a decoder of n steps uses the deepest n + 1."""
        one, two = self.encoder, self.post_encoder or self.encoder
        scales = min(len(self.params.decoder_channels) + 1, len(one.channels))
        if one.reductions[-scales:] != two.reductions[-scales:]:
            what = f"{two.name} has strides {two.reductions}, {one.name} {one.reductions}"
            fix = "choose two encoders whose deepest strides agree, or fewer decoder_channels"
            raise SiameseError(f"the dates cannot be fused: {what}", where="network.post_encoder", fix=fix)
        return list(zip(one.channels[-scales:], two.channels[-scales:], strict=True))

    def _decoder(self, channels: tuple[int, ...]) -> Decoder:
        return Decoder(self.encoder.channels, channels, gated=self.params.attention_gates)

    def _head(self, channels: tuple[int, ...], classes: int) -> Head:
        deepest = self.encoder.reductions[-1]
        if 2 ** len(channels) > deepest:
            what = f"{len(channels)} steps up from 1/{deepest} go beyond the image"
            fix = f"give at most {deepest.bit_length() - 1} channels"
            raise SiameseError(what, where="network.decoder_channels", fix=fix)
        reduction = deepest // 2 ** len(channels)
        return Head(channels, classes, reduction=reduction, deep_supervision=self.params.deep_supervision)

    def _check(self, pre: Tensor, post: Tensor | None) -> None:
        bands = self.params.input_bands
        images = (pre,) if post is None else (pre, post)
        fits = all(image.ndim == 4 and image.shape[1] == count for image, count in zip(images, bands, strict=False))
        if not fits or 0 in pre.shape or any(_size(image) != _size(pre) for image in images):
            told = " and ".join(str(tuple(image.shape)) for image in images)
            what = f"{told} are not two (N, bands, H, W) of one size with {bands[0]} and {bands[1]} bands"
            raise SiameseError(what, where="network input", fix="give both dates on one grid, with these bands")

    def _padded(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        below, right = -height % self.multiple, -width % self.multiple
        if not below and not right:
            return images
        return functional.pad(images, (0, right, 0, below), mode="replicate")


def build_network(params: NetworkParams) -> SiameseUNet:
    """Builds the network with random weights; see :func:`siamese.model.load_imagenet` for a better start.

    Raises:
        SiameseError: The encoder is unknown or unsuitable, or the parts are incompatible.
    """
    return SiameseUNet(params)


def _size(image: Tensor) -> tuple[int, ...]:
    return (image.shape[0], *image.shape[2:])
