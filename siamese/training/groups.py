"""Which parameters are trained, and how fast: frozen shallow scales, and a learning rate per scale of the encoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from siamese.model.encoders import Encoder
from siamese.model.network import SiameseUNet
from siamese.params import TrainingParams


def shallow_parts(network: SiameseUNet, scales: int) -> tuple[nn.Module, ...]:
    """Returns the shallow ``scales`` of every encoder; if these are all scales, the encoder as a whole.

    Raises:
        SiameseError: An encoder has fewer scales.
    """
    found: list[nn.Module] = []
    for encoder in encoders(network) if scales else ():
        shallow = encoder.shallow(scales)
        found.extend((encoder,) if scales == len(encoder.channels) else shallow)
    return tuple(found)


def parameter_groups(network: SiameseUNet, params: TrainingParams) -> list[dict[str, Any]]:
    """Returns parameter groups by learning rate, with and without weight decay (none on biases and batch norm)."""
    rates = _encoder_rates(network, params)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            rate = rates.get(id(parameter), params.learning_rate)
            groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": params.weight_decay if matrix else 0.0}
        for (rate, matrix), parameters in groups.items()
    ]


def encoders(network: SiameseUNet) -> Iterator[Encoder]:
    """Returns every encoder in a network."""
    return (module for module in network.modules() if isinstance(module, Encoder))


def _encoder_rates(network: SiameseUNet, params: TrainingParams) -> dict[int, float]:
    """Returns the learning rate of every parameter of an encoder, by the parameter's id."""
    rates: dict[int, float] = {}
    for encoder in encoders(network):
        rate = params.learning_rate * params.encoder_rate
        rates |= {id(parameter): rate for parameter in encoder.parameters()}
        for scales in range(len(encoder.channels) - 1, 0, -1):
            rate *= params.layer_decay
            rates |= {id(parameter): rate for module in encoder.shallow(scales) for parameter in module.parameters()}
    return rates
