"""The terms that losses are composed of, over the known pixels in one flat axis."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def binary_focal(logits: Tensor, target: Tensor, gamma: float) -> Tensor:
    """Focal loss (Lin et al. 2017) of ``(P,)`` logits; ``target`` is ``(P,)`` of 0 and 1. ``gamma`` 0: cross-entropy.

    As in RetinaNet, the sum is divided by the number of positives, so that empty land does not drown them out.
    """
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    missed = 1 - torch.exp(-cross_entropy)
    return (missed**gamma * cross_entropy).sum() / (4 * target.sum()).clamp(min=0.02 * target.numel())


def binary_dice(logits: Tensor, target: Tensor) -> Tensor:
    """Dice loss (Milletari et al. 2016) of ``(P,)`` logits, over the whole batch."""
    probability = torch.sigmoid(logits)
    return 1 - (2 * (probability * target).sum() + 1) / (probability.sum() + target.sum() + 1)


def binary_lovasz(logits: Tensor, target: Tensor) -> Tensor:
    """Lovász hinge (Berman et al. 2018) of ``(P,)`` logits: a convex stand-in for the Jaccard index."""
    errors, order = torch.sort(1 - logits * (2 * target - 1), descending=True)
    return functional.relu(errors) @ _jaccard_steps(target[order])


def focal(logits: Tensor, target: Tensor, weights: Tensor, gamma: float) -> Tensor:
    """Class-weighted focal loss of ``(P, C)`` logits; ``target`` is ``(P,)`` int64. ``gamma`` 0: cross-entropy."""
    truth = functional.log_softmax(logits, 1).gather(1, target[:, None])[:, 0]
    weight = weights[target]
    return -(weight * (1 - truth.exp()) ** gamma * truth).sum() / weight.sum().clamp(min=1e-6)


def dice(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Dice loss of each class that is present, as a weighted mean."""
    probability = torch.softmax(logits, 1)
    one_hot = functional.one_hot(target, logits.shape[1]).to(probability.dtype)
    overlap, size = (probability * one_hot).sum(0), (probability + one_hot).sum(0)
    return _over_present(1 - (2 * overlap + 1) / (size + 1), one_hot, weights)


def lovasz(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Lovász-softmax (Berman et al. 2018) of each class that is present, as a weighted mean."""
    one_hot = functional.one_hot(target, logits.shape[1]).to(logits.dtype)
    errors, order = torch.sort((one_hot - torch.softmax(logits, 1)).abs(), 0, descending=True)
    each = [errors[:, number] @ _jaccard_steps(one_hot[order[:, number], number]) for number in range(logits.shape[1])]
    return _over_present(torch.stack(each), one_hot, weights)


def ordinal(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of each question "worse than class k?": an error of two classes costs more than of one.

    After Frank & Hall 2001, "A Simple Approach to Ordinal Classification", applied to the tails of one softmax.
    """
    log_probability = functional.log_softmax(logits, 1)
    weight, loss = weights[target], logits.new_zeros(len(target))
    for number in range(logits.shape[1] - 1):
        worse = torch.logsumexp(log_probability[:, number + 1 :], 1)
        not_worse = torch.logsumexp(log_probability[:, : number + 1], 1)
        loss = loss - torch.where(target > number, worse, not_worse)
    return (weight * loss).sum() / weight.sum().clamp(min=1e-6)


def _over_present(losses: Tensor, one_hot: Tensor, weights: Tensor) -> Tensor:
    present = weights * (one_hot.sum(0) > 0)
    return (losses * present).sum() / present.sum().clamp(min=1e-6)


def _jaccard_steps(sorted_target: Tensor) -> Tensor:
    """Returns how much the Jaccard loss grows with each pixel, worst error first."""
    positives = sorted_target.sum()
    lost = 1 - (positives - sorted_target.cumsum(0)) / (positives + (1 - sorted_target).cumsum(0))
    return torch.cat([lost[:1], lost[1:] - lost[:-1]])
