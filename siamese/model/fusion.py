"""Fusion: combines the features of the two dates at one scale."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Kind = Literal["difference", "signed", "concat", "attention"]


class Difference(nn.Module):
    """``|post - pre|``: the change alone, without what it happened to."""

    def forward(self, pre: Tensor, post: Tensor) -> Tensor:
        """Fuses two ``(N, C, H, W)`` into one ``(N, C, H, W)``."""
        return (post - pre).abs()


class Mix(nn.Module):
    """A learned 1x1 mix of pre, post and their difference: the change and what it happened to."""

    def __init__(self, channels: int, *, signed: bool) -> None:
        super().__init__()
        self.signed = signed
        self.mix = _mix(3 * channels, channels)

    def forward(self, pre: Tensor, post: Tensor) -> Tensor:
        """Fuses two ``(N, C, H, W)`` into one ``(N, C, H, W)``."""
        difference = post - pre
        mixed: Tensor = self.mix(torch.cat([pre, post, difference if self.signed else difference.abs()], 1))
        return mixed


class LocalAttention(nn.Module):
    """Compares each post pixel with similar ones among the 3x3 surrounding pre pixels, so that a shift is not a change.

    Attention over a small window as in Ramachandran et al. 2019, "Stand-Alone Self-Attention in Vision Models",
    with the post features as queries and the pre features as keys and values.
    """

    _SIZE = 3

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(8, channels // 4)
        self.scale = inner**-0.5
        self.query, self.key = (nn.Conv2d(channels, inner, 1, bias=False) for _ in range(2))
        self.place = nn.Parameter(torch.zeros(self._SIZE**2))
        self.mix = _mix(2 * channels, channels)

    def forward(self, pre: Tensor, post: Tensor) -> Tensor:
        """Fuses two ``(N, C, H, W)`` into one ``(N, C, H, W)``."""
        query, keys = self.query(post) * self.scale, self._shifted(self.key(pre))
        scores = torch.stack([(query * key).sum(1) for key in keys], 1) + self.place[:, None, None]
        weights = torch.softmax(scores.float(), 1).to(pre.dtype)
        aligned = torch.zeros_like(pre)
        for number, value in enumerate(self._shifted(pre)):
            aligned = aligned + weights[:, number, None] * value
        mixed: Tensor = self.mix(torch.cat([post, (post - aligned).abs()], 1))
        return mixed

    def _shifted(self, features: Tensor) -> list[Tensor]:
        height, width = features.shape[-2:]
        padded = functional.pad(features, (1, 1, 1, 1))
        return [
            padded[..., row : row + height, column : column + width]
            for row in range(self._SIZE)
            for column in range(self._SIZE)
        ]


class Projected(nn.Module):
    """Projects the post features to the channels of the pre features, for encoders that differ, then fuses them."""

    def __init__(self, channels: int, post_channels: int, fusion: nn.Module) -> None:
        super().__init__()
        self.project = nn.Conv2d(post_channels, channels, 1, bias=False)
        self.fusion = fusion

    def forward(self, pre: Tensor, post: Tensor) -> Tensor:
        """Fuses ``pre (N, C, H, W)`` and ``post (N, D, H, W)`` into ``(N, C, H, W)``."""
        fused: Tensor = self.fusion(pre, self.project(post))
        return fused


def build_fusion(kind: Kind, channels: int, post_channels: int) -> nn.Module:
    """Builds the fusion block of one scale with the given channels of the pre and the post features."""
    match kind:
        case "difference":
            fusion: nn.Module = Difference()
        case "signed" | "concat":
            fusion = Mix(channels, signed=kind == "signed")
        case "attention":
            fusion = LocalAttention(channels)
    return fusion if channels == post_channels else Projected(channels, post_channels, fusion)


def _mix(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)
    )
