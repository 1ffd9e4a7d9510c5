"""Two-stage training: buildings are learned from pre images alone, then damage starting from those weights."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from siamese.classes import DAMAGE_CLASSES
from siamese.errors import SiameseError
from siamese.learning.transfer import copy_fitting
from siamese.model.network import NetworkOutput, SiameseUNet
from siamese.params import TrainingParams

Stage = Literal["localization", "damage"]


def stage_of(progress: float, params: TrainingParams) -> Stage:
    """Returns the stage at a point of a training run, 0..1."""
    return "localization" if progress < params.localization_share else "damage"


def check_stages(network: SiameseUNet, params: TrainingParams) -> None:
    """Rejects localization-first training for a network without a localization decoder.

    Raises:
        SiameseError: The network has no such decoder.
    """
    if params.localization_share and network.localization_decoder is None:
        what = "this network finds buildings in both dates at once, so localization cannot be learned first"
        fix = "set network.localization=pre, or training.localization_share=0"
        raise SiameseError(what, where="training.localization_share", fix=fix)


def localized(network: SiameseUNet, pre: Tensor) -> NetworkOutput:
    """Returns the output for the pre images alone; the damage logits are zero and carry no gradient.

    Args:
        network: One with a localization decoder.
        pre: ``(N, 3, H, W)`` float32 in 0..1; H and W are multiples of ``network.multiple``.
    """
    found = network.localize(pre)
    damage = found.logits.new_zeros(()).expand(len(pre), len(DAMAGE_CLASSES), *pre.shape[-2:])
    return NetworkOutput(found.logits, damage, found.coarse)


def inherit(network: SiameseUNet) -> tuple[str, ...]:
    """Copies every matching tensor of the localization decoder into the damage decoder; returns their names."""
    assert network.localization_decoder is not None  # noqa: S101
    return copy_fitting(network.damage_decoder, network.localization_decoder.state_dict())
