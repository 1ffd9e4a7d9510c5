"""An optimizer's state as named tensors, so that it can be stored without pickle."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Returns the optimizer's tensors, each named by its parameter's number and the kind of state."""
    entries = optimizer.state_dict()["state"].items()
    return {f"{number}.{name}": tensor for number, entry in entries for name, tensor in entry.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Restores a state that :func:`optimizer_state` returned."""
    entries: dict[int, dict[str, Tensor]] = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for key, tensor in state.items():
        number, _, name = key.partition(".")
        parameter = parameters[int(number)]
        # The fused optimizer reads memory sequentially, so its state must have the same memory layout as the parameter.
        laid = torch.empty_like(parameter).copy_(tensor) if tensor.shape == parameter.shape else tensor
        entries.setdefault(int(number), {})[name] = laid.detach()
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": entries, "param_groups": groups})


def part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Returns the tensors whose names begin with a prefix, with the prefix removed."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
