"""The U-Net decoder: from the deepest features upwards, with gated skip connections."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv_block(channels_in: int, channels_out: int) -> nn.Sequential:
    """Builds a block of 3x3 convolution, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class AttentionGate(nn.Module):
    """Passes on the skip features that the coarser scale finds relevant (Oktay et al. 2018, "Attention U-Net").

    The weights are computed at the coarser scale, where they are cheap, and upsampled, as in the paper.
    """

    def __init__(self, skip_channels: int, gate_channels: int) -> None:
        super().__init__()
        inner = max(8, skip_channels // 2)
        self.skip = nn.Conv2d(skip_channels, inner, 2, stride=2, bias=False)
        self.gate = nn.Conv2d(gate_channels, inner, 1)
        self.weight = nn.Conv2d(inner, 1, 1)

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        """Weights ``skip (N, C, 2H, 2W)`` by ``gate (N, G, H, W)``."""
        weight = torch.sigmoid(self.weight(functional.relu(self.skip(skip) + self.gate(gate))))
        return skip * functional.interpolate(weight, scale_factor=2.0, mode="bilinear")


class UpBlock(nn.Module):
    """One decoder step: upsample by two, concatenate the gated skip connection if there is one, convolve."""

    def __init__(self, channels_in: int, skip_channels: int, channels_out: int, *, gated: bool) -> None:
        super().__init__()
        self.attention = AttentionGate(skip_channels, channels_in) if gated and skip_channels else None
        self.join = conv_block(channels_in + skip_channels, channels_out)
        self.refine = conv_block(channels_out, channels_out)

    def forward(self, deep: Tensor, skip: Tensor | None) -> Tensor:
        """Combines ``deep (N, C, H, W)`` and ``skip (N, S, 2H, 2W)`` into ``(N, channels_out, 2H, 2W)``."""
        larger = functional.interpolate(deep, scale_factor=2.0, mode="nearest")
        if skip is not None:
            gated = skip if self.attention is None else self.attention(skip, deep)
            larger = torch.cat([larger, gated], 1)
        refined: Tensor = self.refine(self.join(larger))
        return refined


class Decoder(nn.Module):
    """One step per entry of ``channels``; the first ones use the encoder's scales as skip connections."""

    def __init__(self, encoder_channels: Sequence[int], channels: Sequence[int], *, gated: bool) -> None:
        super().__init__()
        deepest, *skips = reversed(encoder_channels)
        skips = [*skips, *[0] * len(channels)][: len(channels)]
        inputs = [deepest, *channels[:-1]]
        self.channels = tuple(channels)
        self.steps = nn.ModuleList(
            UpBlock(before, skip, after, gated=gated)
            for before, skip, after in zip(inputs, skips, channels, strict=True)
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Takes features shallow to deep; returns one map per step, coarse to fine."""
        deep, *skips = reversed(features)
        outputs: list[Tensor] = []
        for number, step in enumerate(self.steps):
            deep = step(deep, skips[number] if number < len(skips) else None)
            outputs.append(deep)
        return outputs
