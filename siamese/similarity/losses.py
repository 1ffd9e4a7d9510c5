"""Losses, miners and distances by name; all but the learned head's are those of pytorch-metric-learning."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_metric_learning import distances, losses, miners
from pytorch_metric_learning.utils import loss_and_miner_utils as pairing
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from siamese.params import SimilarityParams
from siamese.params.similarity import CLASSIFYING
from siamese.similarity.encoders import SimilarityHead


class Criterion(nn.Module):
    """The loss of a batch of vectors, with whatever weights of its own it learns.

    Attributes:
        loss: A loss of pytorch-metric-learning; None where a learned head is trained.
    """

    def __init__(self, params: SimilarityParams, classes: int) -> None:
        """Builds the loss.

        Args:
            params: Loss, distance, margin, miner.
            classes: Number of classes in training, for losses that hold a weight for each.
        """
        super().__init__()
        self.loss = _loss(params, classes)
        self._miner = _miner(params)
        self._needs_classes = params.loss in CLASSIFYING

    def forward(self, vectors: Tensor, labels: Tensor, same: Tensor, head: SimilarityHead | None) -> Tensor:
        """Returns the loss, a scalar.

        Args:
            vectors: ``(N, dim) float32``.
            labels: ``(N,)``, number of each item's class; a number of its own below 0 for what is the same as nothing.
            same: ``(N,)``: -1 where labels decide; else items 2k and 2k + 1 are a listed pair, the same (1) or not (0).
            head: The learned similarity, where there is one.
        """
        if self._needs_classes:
            known = labels >= 0
            vectors, labels = vectors[known], labels[known]
        indices = _listed(same) if bool((same >= 0).all()) else None
        if head is not None:
            return _head_loss(head, vectors, indices or pairing.get_all_pairs_indices(labels))
        if self._miner is not None and indices is None:
            indices = self._miner(vectors, labels)
        assert self.loss is not None  # noqa: S101
        found: Tensor = self.loss(vectors, labels, indices)
        return found


def _head_loss(head: SimilarityHead, vectors: Tensor, indices: Any) -> Tensor:  # noqa: ANN401
    """Binary cross-entropy in which same and other pairs weigh equally, however many there are of each."""
    first, positive, second, negative = indices
    parts = []
    for one, other, target in ((first, positive, 1.0), (second, negative, 0.0)):
        if len(one):
            logits = head(vectors[one], vectors[other])
            parts.append(binary_cross_entropy_with_logits(logits, torch.full_like(logits, target)))
    return torch.stack(parts).mean() if parts else vectors.sum() * 0


def _listed(same: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    first = torch.arange(0, len(same), 2, device=same.device)
    alike = same[::2] == 1
    return first[alike], first[alike] + 1, first[~alike], first[~alike] + 1


def _distance(params: SimilarityParams) -> Any:  # noqa: ANN401
    match params.distance:
        case "euclidean":
            return distances.LpDistance(normalize_embeddings=False, p=2, power=1)
        case "squared_euclidean":
            return distances.LpDistance(normalize_embeddings=False, p=2, power=2)
        case "manhattan":
            return distances.LpDistance(normalize_embeddings=False, p=1, power=1)
        case _:
            return distances.CosineSimilarity()


def _loss(params: SimilarityParams, classes: int) -> Any:  # noqa: ANN401
    distance = _distance(params)
    match params.loss:
        case "bce":
            return None
        case "contrastive":
            near, far = (1.0, 1 - params.margin) if distance.is_inverted else (0.0, params.margin)
            return losses.ContrastiveLoss(pos_margin=near, neg_margin=far, distance=distance)
        case "triplet":
            return losses.TripletMarginLoss(margin=params.margin, distance=distance)
        case "multi_similarity":
            return losses.MultiSimilarityLoss(distance=distances.CosineSimilarity())
        case "ntxent":
            return losses.NTXentLoss(temperature=params.temperature)
        case "supcon":
            return losses.SupConLoss(temperature=params.temperature)
        case "circle":
            return losses.CircleLoss()
        case "arcface":
            return losses.ArcFaceLoss(classes, params.dim)
        case "cosface":
            return losses.CosFaceLoss(classes, params.dim)
        case "normalized_softmax":
            return losses.NormalizedSoftmaxLoss(classes, params.dim, temperature=params.temperature)
        case "proxy_anchor":
            return losses.ProxyAnchorLoss(classes, params.dim)


def _miner(params: SimilarityParams) -> Any:  # noqa: ANN401
    if params.loss in CLASSIFYING or params.loss == "bce":
        return None
    distance = _distance(params)
    match params.miner:
        case "none":
            return None
        case "hard":
            return miners.BatchHardMiner(distance=distance)
        case "semihard":
            return miners.TripletMarginMiner(margin=params.margin, type_of_triplets="semihard", distance=distance)
        case "distance_weighted":
            return miners.DistanceWeightedMiner()
        case "multi_similarity":
            return miners.MultiSimilarityMiner()
