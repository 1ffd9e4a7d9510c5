"""Heads: from decoder features to logits."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class Head(nn.Module):
    """Logits at the finest scale, enlarged to the image's size; while training, at the coarser scales too."""

    def __init__(self, channels: Sequence[int], classes: int, *, reduction: int, deep_supervision: bool) -> None:
        """Builds the head.

        Args:
            channels: Of the decoder's maps, coarse to fine.
            classes: Logits a pixel.
            reduction: Stride of the finest map against the image.
            deep_supervision: Whether the coarser maps get logits as well.
        """
        super().__init__()
        self.reduction = reduction
        self.final = nn.Conv2d(channels[-1], classes, 1)
        coarser = channels[:-1][-2:] if deep_supervision else ()
        self.coarse = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in coarser)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Gives float32 logits ``(N, classes, H, W)``, and the coarser ones (none when not training)."""
        logits = self.final(maps[-1]).float()
        if self.reduction > 1:
            logits = functional.interpolate(logits, scale_factor=float(self.reduction), mode="bilinear")
        if not self.training:
            return logits, ()
        coarse = maps[:-1][-len(self.coarse) :] if len(self.coarse) else []
        return logits, tuple(head(level).float() for head, level in zip(self.coarse, coarse, strict=True))
