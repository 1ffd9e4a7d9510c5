"""Encoders by timm name: images in, a pyramid of features out."""

from __future__ import annotations

import difflib
from itertools import pairwise
from typing import Any

import timm
import torch
from torch import Tensor, nn

from siamese.errors import SiameseError
from siamese.model.depthwise import quicken_depthwise


class Encoder(nn.Module):
    """A timm backbone that normalises its own input and gives one feature map a scale.

    Attributes:
        name: The timm name.
        channels: Channels of each feature map, shallow to deep.
        reductions: Stride of each feature map against the image, shallow to deep.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.body, self.channels, self.reductions = _body(name)
        quicken_depthwise(self.body)
        known = timm.get_pretrained_cfg(name)
        mean, std = (known.mean, known.std) if known else ((0.5,) * 3, (0.5,) * 3)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Gives the pyramid of ``(N, 3, H, W) float32 in 0..1``; H and W must be multiples of the last reduction."""
        features: list[Tensor] = self.body((images - self.mean) / self.std)
        return features

    def shallow(self, scales: int) -> tuple[nn.Module, ...]:
        """The modules that make the first ``scales`` feature maps.

        Raises:
            SiameseError: The encoder has not so many.
        """
        if scales > len(self.channels):
            what = f"{scales} of {len(self.channels)} scales cannot be frozen"
            raise SiameseError(what, where="training.frozen_scales", fix=f"give at most {len(self.channels)}")
        info: Any = self.body.feature_info
        last = str(info.module_name(scales - 1))
        # A timm backbone lists its layers in the order in which it runs them; some flatten "a.b" to "a_b".
        prefix = f"{last}.".replace(".", "_")
        names = [name for name, _ in self.body.named_modules() if name]
        inside = [place for place, name in enumerate(names) if f"{name}.".replace(".", "_").startswith(prefix)]
        before, after = names[: max(inside) + 1], names[max(inside) + 1 :]
        # What contains a later layer as well is not wholly shallow.
        whole = [name for name in before if not any(later.startswith(f"{name}.") for later in after)]
        return tuple(self.body.get_submodule(name) for name in whole)


def _body(name: str) -> tuple[nn.Module, tuple[int, ...], tuple[int, ...]]:
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        fix = f"did you mean {', '.join(near)}?" if near else "timm.list_models() names them all"
        raise SiameseError("timm knows no such encoder", where=f"network.encoder: {name!r}", fix=fix)
    try:
        body: Any = timm.create_model(name, pretrained=False, features_only=True)
        channels, reductions = tuple(body.feature_info.channels()), tuple(body.feature_info.reduction())
    except (RuntimeError, AttributeError, TypeError, ValueError) as error:
        fix = "choose one with a pyramid of features, e.g. tf_efficientnet_lite0 or resnet34"
        raise SiameseError(f"gives no features: {error}", where=f"network.encoder: {name!r}", fix=fix) from error
    if len(reductions) < 2 or any(deep != 2 * shallow for shallow, deep in pairwise(reductions)):
        fix = "choose one whose scales halve, e.g. tf_efficientnet_lite0 or resnet34"
        raise SiameseError(f"strides are {reductions}, not a pyramid", where=f"network.encoder: {name!r}", fix=fix)
    return body, channels, reductions
