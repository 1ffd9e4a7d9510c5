"""The state of a training, and what one step does to it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from siamese.errors import SiameseError
from siamese.model import SiameseUNet
from siamese.model.precision import autocast
from siamese.params import TrainingParams
from siamese.training.crops import Batch
from siamese.training.losses import total_loss
from siamese.training.optimizer import optimizer_state, part, restore_optimizer
from siamese.training.schedule import rate_factor

_MODEL, _AVERAGE, _OPTIMIZER = "model.", "average.", "optimizer."


class Trainer:
    """A network, the average of its weights, and its optimizer."""

    def __init__(self, network: SiameseUNet, params: TrainingParams, device: torch.device) -> None:
        self.params, self.device = params, device
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.frozen = freeze(self.network, params.frozen_scales)
        self.optimizer = torch.optim.AdamW(
            _groups(self.network, params), lr=params.learning_rate, weight_decay=params.weight_decay, fused=True
        )
        self._peaks = [group["lr"] for group in self.optimizer.param_groups]
        self.steps = 0

    def step(self, batch: Batch, progress: float) -> float:
        """Learns from one batch.

        Args:
            batch: See :data:`siamese.training.crops.Batch`.
            progress: How far the training is, 0..1.

        Returns:
            The loss.

        Raises:
            SiameseError: The loss or a gradient is not a number; the weights are then left as they were.
        """
        self.network.train()
        for module in self.frozen:
            module.eval()
        for group, peak in zip(self.optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * rate_factor(progress, self.params.warmup_share)
        torch.manual_seed(self.params.seed * 1_000_003 + self.steps)  # dropout too goes on as if never cut off
        pre, post, mask = (tensor.to(self.device, non_blocking=True) for tensor in batch)
        with autocast(self.device):
            output = self.network(pre.float() / 255, post.float() / 255)
        loss = total_loss(output, mask, self.params)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.params.clip_norm)
        value = float(loss.detach())
        if not (torch.isfinite(norm) and torch.isfinite(loss.detach())):
            what = f"the loss is {value:.4g} and the gradient's norm {float(norm):.4g} at step {self.steps}"
            fix = "lower training.learning_rate; the last good checkpoint is kept"
            raise SiameseError(what, where="training", fix=fix)
        self.optimizer.step()
        self.steps += 1
        self._update_average()
        return value

    def state(self) -> dict[str, Tensor]:
        """Everything that a step changes, as named tensors; they may change with the next step."""
        state = {f"{_MODEL}{name}": tensor for name, tensor in self.network.state_dict().items()}
        state |= {f"{_AVERAGE}{name}": tensor for name, tensor in self.average.state_dict().items()}
        return state | {f"{_OPTIMIZER}{name}": tensor for name, tensor in optimizer_state(self.optimizer).items()}

    def restore(self, state: Mapping[str, Tensor], steps: int) -> None:
        """Takes up a state that :meth:`state` gave, after so many steps."""
        self.network.load_state_dict(part(state, _MODEL))
        self.average.load_state_dict(part(state, _AVERAGE))
        restore_optimizer(self.optimizer, part(state, _OPTIMIZER))
        self.steps = steps

    @torch.no_grad()
    def _update_average(self) -> None:
        # A short memory at first, so that the random start is soon forgotten.
        decay = min(self.params.ema_decay, self.steps / (self.steps + 10))
        ours, theirs = self.average.state_dict(), self.network.state_dict()
        floats = [name for name, tensor in ours.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([ours[name] for name in floats], [theirs[name] for name in floats], 1 - decay)
        for name in ours.keys() - floats:
            ours[name].copy_(theirs[name])


def freeze(network: SiameseUNet, scales: int) -> tuple[nn.Module, ...]:
    """Keeps the shallow ``scales`` of the encoder as they are.

    Returns:
        Its modules, whose statistics must not change either.
    """
    if not scales:
        return ()
    modules = network.encoder.shallow(scales)
    for module in modules:
        module.requires_grad_(False)
    return modules


def _groups(network: SiameseUNet, params: TrainingParams) -> list[dict[str, object]]:
    """Encoder and the rest, each with and without weight decay (none on biases and batch norm)."""
    encoder = {id(parameter) for parameter in network.encoder.parameters()}

    def pick(*, inside: bool, matrix: bool) -> Iterator[nn.Parameter]:
        for parameter in network.parameters():
            if parameter.requires_grad and (id(parameter) in encoder) is inside and (parameter.ndim > 1) is matrix:
                yield parameter

    rates = {True: params.learning_rate * params.encoder_rate, False: params.learning_rate}
    groups: list[dict[str, object]] = []
    for inside, rate in rates.items():
        for matrix in (True, False):
            parameters = list(pick(inside=inside, matrix=matrix))
            if parameters:
                decay = params.weight_decay if matrix else 0.0
                groups.append({"params": parameters, "lr": rate, "weight_decay": decay})
    return groups
