"""Collapse, where an encoder gives the same output for every place, and two measures that detect it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

_LEAST_SPREAD = 0.1
_LEAST_RANK = 2.0
_LEAST_BATCH = 8
"""A smaller batch has too few directions to judge by."""


def spread(embedding: Tensor) -> float:
    """Measures how far embeddings are from being all equal (Chen & He 2021, figure 2).

    Standard deviation of each dimension of the normalised embeddings over the batch, averaged, times the square root
    of the number of dimensions: near 1 when they point everywhere, 0 when all are equal. Where batch norm ends the
    projector it stays near 1 even when all lie on one line, which :func:`effective_rank` detects.

    Args:
        embedding: ``(N, D)``, N at least 2.
    """
    unit = normalize(embedding.float(), dim=1)
    return float(unit.std(0).mean() * unit.shape[1] ** 0.5)


def effective_rank(embedding: Tensor) -> float:
    """Returns about how many directions embeddings span (effective rank; Roy & Vetterli 2007, Garrido et al. 2023).

    Args:
        embedding: ``(N, D)``, N at least 2.

    Returns:
        1 to the lesser of N - 1 and D; 0 when all are equal.
    """
    unit = normalize(embedding.float(), dim=1)
    strengths = torch.linalg.svdvals(unit - unit.mean(0))
    shares = strengths / strengths.sum().clamp_min(1e-12)
    return float(torch.special.entr(shares).sum().exp()) if strengths.any() else 0.0


def warning(spread: float, rank: float, batch: int) -> str | None:
    """Returns the warning for a pre-training run that ended with these measures, or None if all is well."""
    if spread >= _LEAST_SPREAD and (rank >= _LEAST_RANK or batch < _LEAST_BATCH):
        return None
    return (
        f"it collapsed: embeddings of different places spread by {spread:.3f} where 1 is healthy, in {rank:.1f} "
        "directions, so the encoder is worth no more than its start; lower pretraining.learning_rate, raise "
        "pretraining.batch, or try another pretraining.method"
    )
