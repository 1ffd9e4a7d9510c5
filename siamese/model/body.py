"""What every kind of encoder has inside: something that makes features of an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


class Body(nn.Module, ABC):
    """Makes a pyramid of features whose scales halve."""

    channels: tuple[int, ...]
    """Of each feature map, shallow to deep."""
    reductions: tuple[int, ...]
    """Stride of each feature map against the image, shallow to deep."""
    net: Any
    """The network that can have ImageNet weights, for bodies that have one."""

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """The pyramid of ``(N, bands, H, W)``, shallow to deep."""

    @abstractmethod
    def shallow(self, scales: int) -> Sequence[nn.Module]:
        """The modules that make the first ``scales`` feature maps."""

    def load_from_hub(self) -> None:
        """Takes ImageNet weights from timm's hub; raises whatever the hub's client does."""
        raise LookupError("the hub has none")
