"""Heads: turn decoder features into logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from siamese.classes import DAMAGE_CLASSES


class Head(nn.Module):
    """Computes logits at the finest scale, upsampled to the image's size; in training, at the coarser scales too."""

    def __init__(self, channels: Sequence[int], classes: int, *, reduction: int, deep_supervision: bool) -> None:
        """Builds the head.

        Args:
            channels: Channels of the decoder's maps, coarse to fine.
            classes: Number of logits per pixel.
            reduction: Stride of the finest map relative to the image.
            deep_supervision: Whether the coarser maps get logits as well.
        """
        super().__init__()
        self.reduction = reduction
        self.final = nn.Conv2d(channels[-1], classes, 1)
        coarser = channels[:-1][-2:] if deep_supervision else ()
        self.coarse = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in coarser)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Returns float32 logits ``(N, classes, H, W)``, and the coarser ones (none outside training)."""
        logits = self.final(maps[-1]).float()
        if self.reduction > 1:
            logits = functional.interpolate(logits, scale_factor=float(self.reduction), mode="bilinear")
        if not self.training:
            return logits, ()
        coarse = maps[:-1][-len(self.coarse) :] if len(self.coarse) else []
        return logits, tuple(head(level).float() for head, level in zip(self.coarse, coarse, strict=True))


class OrderedThresholds(nn.Module):
    """The proportional-odds model (McCullagh 1980): one severity, and a threshold between each class and the next."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.tensor(-2.0))
        # After softplus these are steps of two; with much smaller steps the middle classes would never be likeliest.
        self.steps = nn.Parameter(torch.full((len(DAMAGE_CLASSES) - 2,), 1.8546))

    def forward(self, severity: Tensor) -> Tensor:
        """Converts severity ``(N, 1, H, W)`` to ``(N, 4, H, W)`` log-probabilities of the classes.

        P(class > k) = sigmoid(severity - threshold k). The difference between neighbours is taken in log space,
        so that it neither cancels nor overflows.
        """
        thresholds = self.first + torch.cat([self.steps.new_zeros(1), functional.softplus(self.steps).cumsum(0)])
        odds = severity - thresholds[:, None, None]
        above = functional.logsigmoid(odds)
        below = above - odds  # log s(-a) = log s(a) - a
        # log(s(a) - s(b)) = log s(a) + log s(-b) + log(1 - exp(b - a)), for a > b
        gap = torch.log(-torch.expm1(thresholds[:-1] - thresholds[1:]))[:, None, None]
        between = above[:, :-1] + below[:, 1:] + gap
        return torch.cat([below[:, :1], between, above[:, -1:]], 1)


def split_joint(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Splits five joint classes into localization and damage, so that no other code has to handle the joint head.

    Softmax over five equals the sigmoid of the first result times the softmax of the second.

    Args:
        logits: ``(N, 5, H, W)``: background, then the damage classes.

    Returns:
        Localization ``(N, 1, H, W)`` and damage ``(N, 4, H, W)``.
    """
    damage = logits[:, 1:]
    return torch.logsumexp(damage, 1, keepdim=True) - logits[:, :1], damage
