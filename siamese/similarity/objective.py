"""The objective of similarity training: items of one class near each other, those of others far away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from siamese.learning.objective import Objective, Scored
from siamese.learning.recipe import Recipe
from siamese.params import SimilarityParams
from siamese.similarity.batches import Batch
from siamese.similarity.encoders import EmbeddingNetwork, frozen_parts
from siamese.similarity.losses import Criterion


class SimilarityNetwork(nn.Module):
    """The embedding network in training, with the loss and the weights that the loss learns.

    Attributes:
        embedder: What is published.
        criterion: The loss.
    """

    def __init__(self, embedder: EmbeddingNetwork, criterion: Criterion) -> None:
        super().__init__()
        self.embedder, self.criterion = embedder, criterion


class SimilarityObjective(Objective[SimilarityNetwork, Batch, tuple[Tensor, Tensor]]):
    """Computes the loss of a batch, and how near its items are to each other on average."""

    def __init__(self, params: SimilarityParams) -> None:
        self.recipe = Recipe.of("similarity", params)
        self._params = params

    def groups(self, network: SimilarityNetwork) -> list[dict[str, Any]]:
        """Returns groups with and without weight decay (none on biases and batch norm)."""
        learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        rate, decay = self._params.learning_rate, self._params.weight_decay
        groups = [
            {"params": [one for one in learned if one.ndim > 1], "lr": rate, "weight_decay": decay},
            {"params": [one for one in learned if one.ndim <= 1], "lr": rate, "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]

    def frozen(self, network: SimilarityNetwork) -> Sequence[nn.Module]:
        """Returns the encoder where only the last layer is trained."""
        return frozen_parts(network.embedder, self._params)

    def forward(self, network: SimilarityNetwork, batch: Batch, share: float) -> tuple[Tensor, Tensor]:
        """Returns the loss, and the mean length of the mean vector: near 1, all vectors are alike."""
        del share
        values, labels, same, branch = batch
        vectors = network.embedder(values, branch)
        with torch.autocast(vectors.device.type, enabled=False):
            loss = network.criterion(vectors.float(), labels, same, network.embedder.head)
        return loss, _alike(vectors)

    def loss(self, output: tuple[Tensor, Tensor], share: float) -> Scored:
        """Returns the loss that the forward pass computed."""
        del share
        loss, alike = output
        return Scored(loss, {"alike": float(alike)})


def _alike(vectors: Tensor) -> Tensor:
    vectors = vectors.detach()
    mean_length = vectors.square().sum(1).sqrt().mean()
    return vectors.mean(0).square().sum().sqrt() / mean_length.clamp(min=1e-8)
