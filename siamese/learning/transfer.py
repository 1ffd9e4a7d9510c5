"""Initialises one network with the weights of another."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from siamese.errors import SiameseError


def take_over(module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> tuple[str, ...]:
    """Copies into a module all given tensors whose name and shape match; its other tensors are unchanged.

    Args:
        module: The network, or a part of it, e.g. its encoder when ``tensors`` are those of an encoder alone.
        tensors: Finite numbers, by their names in ``module``.
        name: How error messages refer to the tensors.

    Returns:
        The names of the copied tensors.

    Raises:
        SiameseError: None matches.
    """
    taken = copy_fitting(module, tensors)
    if not taken:
        fix = "start from a model of the same encoder, or from none"
        raise SiameseError("has no tensor that fits this network", where=name, fix=fix)
    return taken


def copy_fitting(module: nn.Module, tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Copies into a module every tensor whose name and shape match, possibly none; returns their names."""
    slots = module.state_dict()
    fitting = [key for key, slot in slots.items() if key in tensors and tensors[key].shape == slot.shape]
    with torch.no_grad():
        for key in fitting:
            slots[key].copy_(tensors[key])
    return tuple(fitting)
