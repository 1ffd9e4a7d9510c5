"""Fusion: how the features of two dates become one, at one scale."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn


class Difference(nn.Module):
    """``|post - pre|``: what changed, and nothing else."""

    def forward(self, pre: Tensor, post: Tensor) -> Tensor:
        """Takes and gives ``(N, C, H, W)``."""
        return (post - pre).abs()


class Concat(nn.Module):
    """A learned 1x1 mix of pre, post and ``|post - pre|``: the change and what it happened to."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(
            nn.Conv2d(3 * channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )

    def forward(self, pre: Tensor, post: Tensor) -> Tensor:
        """Takes and gives ``(N, C, H, W)``."""
        mixed: Tensor = self.mix(torch.cat([pre, post, (post - pre).abs()], 1))
        return mixed


def build_fusion(kind: Literal["difference", "concat"], channels: int) -> nn.Module:
    """The fusion block of one scale that has ``channels`` channels."""
    match kind:
        case "difference":
            return Difference()
        case "concat":
            return Concat(channels)
