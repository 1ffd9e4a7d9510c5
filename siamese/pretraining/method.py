"""What all methods share: an encoder, its global features, and a loss between views."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from siamese.model.encoders import Encoder
from siamese.model.precision import autocast


class Comparison(NamedTuple):
    """A method's result for a batch of views.

    Attributes:
        loss: A scalar.
        embedding: ``(N, D)`` float32 of the first view, detached; used to detect collapse.
    """

    loss: Tensor
    embedding: Tensor


class Method(nn.Module, ABC):
    """Trains an encoder by comparing views; its ``state_dict()`` holds everything that changes.

    Attributes:
        encoder: The encoder that the loss trains.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    @property
    def outcome(self) -> Encoder:
        """Returns the encoder to keep at the end."""
        return self.encoder

    @abstractmethod
    def compare(self, views: Sequence[Tensor]) -> Comparison:
        """Computes the loss of a batch.

        Args:
            views: ``(N, 3, H, W)`` float32 in 0..1 each, the two large ones first.
        """

    def after_step(self, progress: float) -> None:
        """Performs the updates that follow an optimizer step.

        Args:
            progress: The completed share of the run, 0..1.
        """


def global_features(encoder: Encoder, images: Tensor) -> Tensor:
    """Averages the deepest feature map over the image: ``(N, C)`` float32; whatever follows is computed in float32."""
    with autocast(images.device):
        deepest = encoder(images)[-1]
    pooled: Tensor = deepest.float().mean((2, 3))
    return pooled


def mlp(widths: Sequence[int], *, activation: type[nn.Module] = nn.ReLU, end_norm: bool = False) -> nn.Sequential:
    """Builds linear layers with batch norm and activation between them.

    Args:
        widths: Width of the input, then of each layer.
        activation: Activation after each batch norm.
        end_norm: Whether to also end with a batch norm, without weights of its own.
    """
    layers: list[nn.Module] = []
    for given, made in pairwise(widths[:-1]):
        layers += [nn.Linear(given, made, bias=False), nn.BatchNorm1d(made), activation()]
    layers.append(nn.Linear(widths[-2], widths[-1], bias=not end_norm))
    if end_norm:
        layers.append(nn.BatchNorm1d(widths[-1], affine=False))
    return nn.Sequential(*layers)
