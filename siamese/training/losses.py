"""Losses: focal + dice for buildings, and for their damage."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from siamese.classes import DAMAGE_CLASSES, UNCLASSIFIED
from siamese.model import NetworkOutput
from siamese.params import TrainingParams


def total_loss(output: NetworkOutput, mask: Tensor, params: TrainingParams) -> Tensor:
    """The loss of a batch.

    Args:
        output: The network's logits.
        mask: ``(N, H, W)`` uint8: 0 background, 1..4 damage, 255 ignored.
        params: Weights of its parts.

    Returns:
        One number.
    """
    localization = localization_loss(output.localization[:, 0], mask, params)
    damage = damage_loss(output.damage, mask, params)
    for logits in output.coarse_localization:
        localization = localization + params.deep_weight * localization_loss(
            logits[:, 0], _reduced(mask, logits), params
        )
    for logits in output.coarse_damage:
        damage = damage + params.deep_weight * damage_loss(logits, _reduced(mask, logits), params)
    return localization + params.damage_weight * damage


def localization_loss(logits: Tensor, mask: Tensor, params: TrainingParams) -> Tensor:
    """Focal (Lin et al. 2017) + dice over the batch, of ``(N, H, W)`` logits; 255 is ignored."""
    known = mask != UNCLASSIFIED
    logits, target = logits[known], (mask[known] > 0).to(logits.dtype)
    if not len(logits):
        return logits.sum()
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    missed = 1 - torch.exp(-cross_entropy)
    focal = (missed**params.focal_gamma * cross_entropy).sum() / _building_norm(target)
    probability = torch.sigmoid(logits)
    dice = 1 - (2 * (probability * target).sum() + 1) / (probability.sum() + target.sum() + 1)
    return focal + params.dice_weight * dice


def damage_loss(logits: Tensor, mask: Tensor, params: TrainingParams) -> Tensor:
    """Class-weighted focal + dice of ``(N, 4, H, W)`` logits, on building pixels of known damage alone."""
    inside = (mask > 0) & (mask != UNCLASSIFIED)
    logits, target = logits.permute(0, 2, 3, 1)[inside], mask[inside].long() - 1
    if not len(logits):
        return logits.sum()
    weights = logits.new_tensor(params.class_weights)
    log_probability = functional.log_softmax(logits, 1)
    truth = log_probability.gather(1, target[:, None])[:, 0]
    weight = weights[target]
    focal = -(weight * (1 - truth.exp()) ** params.focal_gamma * truth).sum() / weight.sum().clamp(min=1e-6)
    probability = log_probability.exp()
    one_hot = functional.one_hot(target, len(DAMAGE_CLASSES)).to(probability.dtype)
    overlap, size = (probability * one_hot).sum(0), (probability + one_hot).sum(0)
    dice = 1 - (2 * overlap + 1) / (size + 1)
    present = weights * (one_hot.sum(0) > 0)
    return focal + params.dice_weight * (dice * present).sum() / present.sum().clamp(min=1e-6)


def _building_norm(target: Tensor) -> Tensor:
    # As in RetinaNet, the sum is shared out over the positives, so that empty land does not drown them.
    return (4 * target.sum()).clamp(min=0.02 * target.numel())


def _reduced(mask: Tensor, logits: Tensor) -> Tensor:
    """The mask at the coarser size of some logits."""
    factor = -(-mask.shape[-1] // logits.shape[-1])
    start = factor // 2
    return mask[:, start::factor, start::factor]
