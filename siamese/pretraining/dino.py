"""DINO: M. Caron et al., Emerging Properties in Self-Supervised Vision Transformers, ICCV 2021, arXiv:2104.14294."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, log_softmax, normalize

from siamese.model.encoders import Encoder
from siamese.params import PretrainingParams
from siamese.pretraining.method import Comparison, Method, global_features, mlp
from siamese.pretraining.teacher import follow, momentum_at, teacher_of


class Dino(Method):
    """A student learns to assign every view to the prototypes to which its slow copy, the teacher, assigns large ones.

    The teacher's logits are centred, so that no class dominates, and sharpened, so that not all classes become alike.
    The head has batch norm, to suit encoders with batch norm. The teacher is the better encoder, so it is the one kept.
    """

    center: Tensor

    def __init__(self, encoder: Encoder, params: PretrainingParams) -> None:
        super().__init__(encoder)
        self.head = DinoHead(encoder.channels[-1], params)
        self.teacher_encoder, self.teacher_head = teacher_of(encoder), teacher_of(self.head)
        self.register_buffer("center", torch.zeros(params.prototypes))
        self._params = params

    @property
    def outcome(self) -> Encoder:
        """Returns the teacher."""
        return self.teacher_encoder

    def compare(self, views: Sequence[Tensor]) -> Comparison:
        """Computes the cross-entropy of student against teacher, over all pairs of a large view and another view."""
        large, count = torch.cat(list(views[:2])), len(views[0])
        embedded = self.head.embed(global_features(self.encoder, large))
        logits = self.head.sort(embedded)
        if len(views) > 2:
            small = self.head.embed(global_features(self.encoder, torch.cat(list(views[2:]))))
            logits = torch.cat([logits, self.head.sort(small)])
        with torch.no_grad():
            taught = self.teacher_head.sort(self.teacher_head.embed(global_features(self.teacher_encoder, large)))
            targets = ((taught - self.center) / self._params.teacher_temperature).softmax(1)
            self.center.lerp_(taught.mean(0), 1 - self._params.center_momentum)
        students = log_softmax(logits / self._params.student_temperature, 1)
        losses = [
            -(target * student).sum(1).mean()
            for order, target in enumerate(torch.split(targets, count))
            for other, student in enumerate(torch.split(students, count))
            if order != other
        ]
        return Comparison(torch.stack(losses).mean(), embedded.detach()[:count])

    def after_step(self, progress: float) -> None:
        """Moves the teacher towards the student, ever more slowly."""
        momentum = momentum_at(progress, self._params.momentum)
        follow(self.teacher_encoder, self.encoder, momentum)
        follow(self.teacher_head, self.head, momentum)


class DinoHead(nn.Module):
    """Maps features to a unit embedding, and that to logits of the prototypes, which are unit vectors too."""

    def __init__(self, channels: int, params: PretrainingParams) -> None:
        super().__init__()
        hidden, width = params.hidden_dim, params.projection_dim
        self.projector = mlp([channels, hidden, hidden, width], activation=nn.GELU)
        self.prototypes = nn.Parameter(torch.randn(params.prototypes, width) * 0.02)

    def embed(self, features: Tensor) -> Tensor:
        """Maps ``(N, C)`` to unit vectors ``(N, D)``."""
        return normalize(self.projector(features), dim=1)

    def sort(self, embedded: Tensor) -> Tensor:
        """Maps ``(N, D)`` to logits ``(N, prototypes)`` in -1..1."""
        return linear(embedded, normalize(self.prototypes, dim=1))
