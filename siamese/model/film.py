"""Conditioning on the disaster type: FiLM (Perez et al. 2018, "Visual Reasoning with a General Conditioning Layer")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from siamese.classes import DISASTER_TYPES


class DisasterFilm(nn.Module):
    """Scales and shifts each channel at each scale according to the disaster type; starts as the identity."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.scales, self.shifts = (
            nn.ModuleList(nn.Embedding(len(DISASTER_TYPES), width) for width in channels) for _ in range(2)
        )
        for table in (*self.scales, *self.shifts):
            nn.init.zeros_(table.weight)

    def forward(self, pyramid: Sequence[Tensor], disaster: Tensor | None) -> list[Tensor]:
        """Modulates a pyramid of ``(N, C, H, W)``; ``disaster`` is ``(N,)`` int64, or None if every type is unknown.

        Outside training, a type that occurred in no training scene counts as unknown, since nothing was learned for it.
        """
        if disaster is None:
            disaster = torch.zeros(len(pyramid[0]), dtype=torch.long, device=pyramid[0].device)
        elif not self.training:
            disaster = torch.where(self.learned()[disaster], disaster, torch.zeros_like(disaster))
        return [
            level * (1 + scale(disaster)[..., None, None].to(level.dtype))
            + shift(disaster)[..., None, None].to(level.dtype)
            for level, scale, shift in zip(pyramid, self.scales, self.shifts, strict=True)
        ]

    def learned(self) -> Tensor:
        """Returns ``(types,)`` bool: which types have moved away from their initial zeros."""
        return torch.stack([(table.weight != 0).any(1) for table in (*self.scales, *self.shifts)]).any(0)
