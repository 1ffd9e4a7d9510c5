"""SimSiam: X. Chen and K. He, Exploring Simple Siamese Representation Learning, CVPR 2021, arXiv:2011.10566."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from siamese.model.encoders import Encoder
from siamese.params import PretrainingParams
from siamese.pretraining.method import Comparison, Method, global_features, mlp


class SimSiam(Method):
    """Predicts, from each view, the other's embedding; the gradient stops at the predicted embedding."""

    def __init__(self, encoder: Encoder, params: PretrainingParams) -> None:
        super().__init__(encoder)
        hidden, width = params.hidden_dim, params.projection_dim
        self.projector = mlp([encoder.channels[-1], hidden, hidden, width], end_norm=True)
        # The paper's bottleneck: a quarter of the embedding.
        self.predictor = mlp([width, max(2, width // 4), width])

    def compare(self, views: Sequence[Tensor]) -> Comparison:
        """Computes the negative cosine similarity, -1 at best, in both directions."""
        embedded = self.projector(global_features(self.encoder, torch.cat(list(views[:2]))))
        one, two = embedded.detach().chunk(2)
        from_one, from_two = self.predictor(embedded).chunk(2)
        loss = -(cosine_similarity(from_one, two).mean() + cosine_similarity(from_two, one).mean()) / 2
        return Comparison(loss, one)
