"""Encoders by name: each turns images into a feature pyramid whose scales halve."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from siamese.errors import SiameseError
from siamese.model.body import Body
from siamese.model.convolutional import ConvolutionalBody
from siamese.model.depthwise import quicken_depthwise
from siamese.model.plain import PLAIN, PlainBody
from siamese.model.vit import VitBody

_OTHER = "choose another, e.g. tf_efficientnet_lite0, resnet34 or vit_small_patch16_224"


class Encoder(nn.Module):
    """A backbone that normalises its own input and returns one feature map per scale.

    Attributes:
        name: The timm name, or ``plain``.
        bands: Number of bands of the input images.
        channels: Channels of each feature map, shallow to deep.
        reductions: Stride of each feature map relative to the image, shallow to deep.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, bands: int = 3) -> None:
        """Builds the encoder with random weights.

        Raises:
            SiameseError: No encoder has that name, or it has no feature pyramid or does not accept such images.
        """
        super().__init__()
        self.name, self.bands = name, bands
        self.body = _body(name, bands)
        self.channels, self.reductions = self.body.channels, self.body.reductions
        quicken_depthwise(self.body)
        import timm

        known = timm.get_pretrained_cfg(name) if name != PLAIN else None
        mean, std = (known.mean, known.std) if known else ((0.5,) * 3, (0.5,) * 3)
        self.register_buffer("mean", _for_bands(mean, bands))
        self.register_buffer("std", _for_bands(std, bands))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Returns the pyramid of ``(N, bands, H, W) float32 in 0..1``; H and W are multiples of the last reduction."""
        features: list[Tensor] = self.body((images - self.mean) / self.std)
        return features

    def shallow(self, scales: int) -> tuple[nn.Module, ...]:
        """Returns the modules that compute the first ``scales`` feature maps.

        Raises:
            SiameseError: The encoder has fewer scales.
        """
        if scales > len(self.channels):
            what = f"{scales} of {len(self.channels)} scales cannot be frozen"
            raise SiameseError(what, where="training.frozen_scales", fix=f"give at most {len(self.channels)}")
        return tuple(self.body.shallow(scales))


def _body(name: str, bands: int) -> Body:
    where = f"network.encoder: {name!r}"
    if name == PLAIN:
        return PlainBody(bands)
    import timm

    if not timm.is_model(name):
        near = difflib.get_close_matches(name, [PLAIN, *timm.list_models()], n=3)
        fix = f"did you mean {', '.join(near)}?" if near else "timm.list_models() names them all"
        raise SiameseError("timm knows no such encoder", where=where, fix=fix)
    try:
        body: Body = VitBody(name, bands) if VitBody.fits(name) else ConvolutionalBody(name, bands)
    except (RuntimeError, AttributeError, TypeError, ValueError, AssertionError) as error:
        raise SiameseError(f"gives no features of {bands} bands: {error}", where=where, fix=_OTHER) from error
    if len(body.reductions) < 2 or any(deep != 2 * shallow for shallow, deep in pairwise(body.reductions)):
        raise SiameseError(f"strides are {body.reductions}, not a pyramid", where=where, fix=_OTHER)
    _try(body, bands, where)
    return body


@torch.no_grad()
def _try(body: Body, bands: int, where: str) -> None:
    """Runs the body once: some networks accept only one image size, or return features in another axis order."""
    deepest = body.reductions[-1]
    height, width = 2 * deepest, 3 * deepest
    wanted = [(1, one, height // two, width // two) for one, two in zip(body.channels, body.reductions, strict=True)]
    try:
        found = [tuple(level.shape) for level in body.eval()(torch.zeros(1, bands, height, width))]
    except (RuntimeError, AssertionError) as error:
        raise SiameseError(f"does not take images of any size: {error}", where=where, fix=_OTHER) from error
    finally:
        body.train()
    if found != wanted:
        raise SiameseError(f"gives features of shapes {found}, not {wanted}", where=where, fix=_OTHER)


def _for_bands(values: Sequence[float], bands: int) -> Tensor:
    """Returns ImageNet's three values for RGB, and their mean for any other number of bands."""
    mean = sum(values) / len(values)
    return torch.tensor(list(values) if bands == len(values) else [mean] * bands).view(1, -1, 1, 1)
