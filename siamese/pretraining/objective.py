"""What self-supervised training learns: that views of one place belong together."""

from __future__ import annotations

from typing import Any

from siamese.learning.objective import Objective, Scored
from siamese.learning.recipe import Recipe
from siamese.params import PretrainingParams
from siamese.pretraining.collapse import effective_rank, spread
from siamese.pretraining.method import Comparison, Method
from siamese.pretraining.views import Views


class ViewsObjective(Objective[Method, Views, Comparison]):
    """The loss of a method, with spread and rank of its embeddings beside it."""

    def __init__(self, params: PretrainingParams) -> None:
        self.recipe = Recipe.of("pretraining", params)
        self.params = params

    def groups(self, network: Method) -> list[dict[str, Any]]:
        """With and without weight decay (none on biases and batch norm)."""
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
        """The method's own loss."""
        del share
        return Scored(output.loss, {"spread": spread(output.embedding), "rank": effective_rank(output.embedding)})

    def after_step(self, network: Method, share: float) -> None:
        """A teacher follows."""
        network.after_step(share)
