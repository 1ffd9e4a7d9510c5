"""BYOL: J.-B. Grill et al., Bootstrap Your Own Latent, NeurIPS 2020, arXiv:2006.07733."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from siamese.model.encoders import Encoder
from siamese.params import PretrainingParams
from siamese.pretraining.method import Comparison, Method, global_features, mlp
from siamese.pretraining.teacher import follow, momentum_at, teacher_of


class Byol(Method):
    """Predicts, from each view, a slow copy's embedding of the other view."""

    def __init__(self, encoder: Encoder, params: PretrainingParams) -> None:
        super().__init__(encoder)
        hidden, width = params.hidden_dim, params.projection_dim
        self.projector = mlp([encoder.channels[-1], hidden, width])
        self.predictor = mlp([width, hidden, width])
        self.target_encoder, self.target_projector = teacher_of(encoder), teacher_of(self.projector)
        self._momentum = params.momentum

    def compare(self, views: Sequence[Tensor]) -> Comparison:
        """Computes the squared distance of the normalised vectors, 0 at best, 4 at worst, in both directions."""
        images = torch.cat(list(views[:2]))
        embedded = self.projector(global_features(self.encoder, images))
        with torch.no_grad():
            one, two = self.target_projector(global_features(self.target_encoder, images)).chunk(2)
        from_one, from_two = self.predictor(embedded).chunk(2)
        alike = cosine_similarity(from_one, two).mean() + cosine_similarity(from_two, one).mean()
        return Comparison(2 - alike, embedded.detach().chunk(2)[0])

    def after_step(self, progress: float) -> None:
        """Moves the target towards the online network, ever more slowly."""
        momentum = momentum_at(progress, self._momentum)
        follow(self.target_encoder, self.encoder, momentum)
        follow(self.target_projector, self.projector, momentum)
