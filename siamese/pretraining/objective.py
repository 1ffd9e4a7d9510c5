"""The objective of self-supervised training: views of one place should match."""

from __future__ import annotations

from typing import Any

from siamese.learning.objective import Objective, Scored
from siamese.learning.recipe import Recipe
from siamese.params import PretrainingParams
from siamese.pretraining.collapse import effective_rank, spread
from siamese.pretraining.method import Comparison, Method
from siamese.pretraining.views import Views


class ViewsObjective(Objective[Method, Views, Comparison]):
    """Computes the loss of a method, and the spread and rank of its embeddings."""

    def __init__(self, params: PretrainingParams) -> None:
        self.recipe = Recipe.of("pretraining", params)
        self.params = params

    def groups(self, network: Method) -> list[dict[str, Any]]:
        """Returns groups with and without weight decay (none on biases and batch norm)."""
        learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        rate, decay = self.params.learning_rate, self.params.weight_decay
        return [
            {"params": [one for one in learned if one.ndim > 1], "lr": rate, "weight_decay": decay},
            {"params": [one for one in learned if one.ndim <= 1], "lr": rate, "weight_decay": 0.0},
        ]

    def forward(self, network: Method, batch: Views, share: float) -> Comparison:
        """Compares the views."""
        del share
        return network.compare([view.float() / 255 for view in batch])

    def loss(self, output: Comparison, share: float) -> Scored:
        """Returns the method's own loss."""
        del share
        return Scored(output.loss, {"spread": spread(output.embedding), "rank": effective_rank(output.embedding)})

    def after_step(self, network: Method, share: float) -> None:
        """Updates the method's teacher, if it has one."""
        network.after_step(share)
