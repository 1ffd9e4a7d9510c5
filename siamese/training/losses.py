"""Losses for buildings and for their damage, at every scale that has logits."""

from __future__ import annotations

from torch import Tensor

from siamese.classes import UNCLASSIFIED
from siamese.model.network import NetworkOutput
from siamese.params import TrainingParams
from siamese.training import terms


def total_loss(output: NetworkOutput, mask: Tensor, params: TrainingParams) -> Tensor:
    """Computes the loss of a batch.

    Args:
        output: The network's logits.
        mask: ``(N, H, W)`` uint8: 0 background, 1..4 damage, 255 ignored.
        params: Kind of loss, and the weights of its parts.

    Returns:
        A scalar tensor.
    """
    localization = localization_loss(output.localization[:, 0], mask, params)
    damage = damage_loss(output.damage, mask, params)
    for logits in output.coarse_localization:
        coarse = localization_loss(logits[:, 0], _reduced(mask, logits), params)
        localization = localization + params.deep_weight * coarse
    for logits in output.coarse_damage:
        damage = damage + params.deep_weight * damage_loss(logits, _reduced(mask, logits), params)
    return localization + params.damage_weight * damage


def localization_loss(logits: Tensor, mask: Tensor, params: TrainingParams) -> Tensor:
    """Computes the loss of ``(N, H, W)`` logits against building or not; 255 is ignored."""
    known = mask != UNCLASSIFIED
    logits, target = logits[known], (mask[known] > 0).to(logits.dtype)
    if not len(logits):
        return logits.sum()
    match params.loss:
        # Buildings have no order, so the ordinal loss falls back to the default for them.
        case "focal_dice" | "ordinal":
            focal = terms.binary_focal(logits, target, params.focal_gamma)
            return focal + params.dice_weight * terms.binary_dice(logits, target)
        case "focal":
            return terms.binary_focal(logits, target, params.focal_gamma)
        case "dice":
            return terms.binary_dice(logits, target)
        case "cross_entropy":
            return terms.binary_focal(logits, target, 0)
        case "lovasz":
            return terms.binary_lovasz(logits, target)


def damage_loss(logits: Tensor, mask: Tensor, params: TrainingParams) -> Tensor:
    """Computes the class-weighted loss of ``(N, 4, H, W)`` logits, only on building pixels of known damage."""
    inside = (mask > 0) & (mask != UNCLASSIFIED)
    logits, target = logits.permute(0, 2, 3, 1)[inside], mask[inside].long() - 1
    if not len(logits):
        return logits.sum()
    weights = logits.new_tensor(params.class_weights)
    match params.loss:
        case "focal_dice":
            focal = terms.focal(logits, target, weights, params.focal_gamma)
            return focal + params.dice_weight * terms.dice(logits, target, weights)
        case "focal":
            return terms.focal(logits, target, weights, params.focal_gamma)
        case "dice":
            return terms.dice(logits, target, weights)
        case "cross_entropy":
            return terms.focal(logits, target, weights, 0)
        case "lovasz":
            return terms.lovasz(logits, target, weights)
        case "ordinal":
            return terms.ordinal(logits, target, weights)


def _reduced(mask: Tensor, logits: Tensor) -> Tensor:
    """Downsamples the mask to the size of coarser logits."""
    factor = -(-mask.shape[-1] // logits.shape[-1])
    start = factor // 2
    return mask[:, start::factor, start::factor]
