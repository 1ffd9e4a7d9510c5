"""The core of every encoder: the network that extracts features from an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


class Body(nn.Module, ABC):
    """Extracts a feature pyramid in which each scale has half the resolution of the one before."""

    channels: tuple[int, ...]
    """Channels of each feature map, shallow to deep."""
    reductions: tuple[int, ...]
    """Stride of each feature map relative to the image, shallow to deep."""
    net: Any
    """The network that can take ImageNet weights, for bodies that have one."""

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """Returns the feature pyramid of ``(N, bands, H, W)``, shallow to deep."""

    @abstractmethod
    def shallow(self, scales: int) -> Sequence[nn.Module]:
        """Returns the modules that compute the first ``scales`` feature maps."""

    def load_from_hub(self) -> None:
        """Loads ImageNet weights from timm's hub; raises whatever the hub's client raises."""
        raise LookupError("the hub has none")
