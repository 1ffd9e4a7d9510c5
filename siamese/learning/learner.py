"""A network in training: its weights, their average, its optimizer, and the effect of one step on them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any, Generic

import torch
from lightning_fabric import Fabric
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn

from siamese.errors import SiameseError
from siamese.learning.collectives import gathered, rank, world
from siamese.learning.objective import B, N, O, Objective
from siamese.learning.optimizer import optimizer_state, part, restore_optimizer
from siamese.learning.synchronised import synchronise

_MODEL, _AVERAGE, _OPTIMIZER, _SCALER = "model.", "average.", "optimizer.", "scaler."


class Learner(Generic[N, B, O]):
    """A network in training, with the average of its weights and its optimizer.

    Attributes:
        network: The network being trained.
        average: A copy holding the mean of the latest weights, which beats any single one; None without ``ema_decay``.
        steps: Number of updates so far.
        share: The run's completed share at the last update, 0..1.
    """

    def __init__(
        self,
        network: N,
        objective: Objective[N, B, O],
        fabric: Fabric,
        *,
        compiling: Mapping[str, Any] | None = None,
    ) -> None:
        """Sets up a network for training.

        Args:
            network: On the CPU. Every process receives the first process's weights.
            objective: The training objective.
            fabric: Device, number format and process group.
            compiling: Options of ``torch.compile``; None runs eagerly.

        Raises:
            SiameseError: The network does not fit the objective.
        """
        self.objective, self.recipe, self.fabric = objective, objective.recipe, fabric
        if world() > 1:
            synchronise(network)
        self.network: N = network.to(fabric.device).to(memory_format=torch.channels_last)
        self.frozen = tuple(objective.frozen(self.network))
        for module in self.frozen:
            module.requires_grad_(False)
        self.optimizer = torch.optim.AdamW(objective.groups(self.network), fused=True)
        self._peaks = [group["lr"] for group in self.optimizer.param_groups]
        self._forward, self._update = fabric.setup(_Forward(self.network, objective), self.optimizer)
        self.average: N | None = None
        if self.recipe.ema_decay is not None:
            self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        if compiling is not None:
            self.network.compile(**compiling)
        self.steps, self.share = 0, 0.0

    @property
    def precision(self) -> Any:  # noqa: ANN401
        """Fabric's plugin for the number format."""
        return self.fabric.strategy.precision

    @property
    def outcome(self) -> N:
        """The network that would be published at this point."""
        return self.network if self.average is None else self.average

    def step(self, batch: B, share: float) -> dict[str, float]:
        """Learns from the examples of one step, in ``accumulate`` parts.

        The update uses the mean of the parts' losses. What a loss or batch norm computes over a batch is computed over
        each part; everything else is as if the examples had been one batch.

        Args:
            batch: This process's examples.
            share: The run's completed share, 0..1.

        Returns:
            The loss, and the objective's further figures.

        Raises:
            SiameseError: The loss or a gradient is not a number; the weights are left unchanged.
        """
        self._prepare(share)
        parts = self.recipe.accumulate
        scored = [
            self._learn(examples, share, last=number == parts)
            for number, examples in enumerate(split(self.fabric.to_device(batch), parts), 1)
        ]
        loss = float(torch.stack([loss for loss, _ in scored]).sum())
        self.precision.unscale_gradients(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        if not math.isfinite(loss) or not (torch.isfinite(norm) or self._rescales()):
            raise self._not_finite(
                f"the loss is {loss:.4g} and the gradient's norm {float(norm):.4g} at step {self.steps}"
            )
        self._update.step()
        self.objective.after_step(self.network, share)
        self.steps, self.share = self.steps + 1, share
        self._update_average()
        figures = {name: sum(each[name] for _, each in scored) / parts for name in scored[0][1]}
        return {"loss": loss, **figures}

    def check_finite(self) -> None:
        """Rejects weights, averages or statistics that are not finite, before they are stored.

        Raises:
            SiameseError: Some are not finite; the message names the first such tensor.
        """
        for kind, network in (("weights", self.network), ("averaged weights", self.average)):
            for name, tensor in network.state_dict().items() if network is not None else ():
                if not torch.isfinite(tensor).all():
                    raise self._not_finite(f"{name} of the {kind} holds a NaN or infinity after step {self.steps}")

    def state(self) -> dict[str, Tensor]:
        """Returns everything that a step changes, as named tensors; the next step may modify them."""
        state = {f"{_MODEL}{name}": tensor for name, tensor in self.network.state_dict().items()}
        if self.average is not None:
            state |= {f"{_AVERAGE}{name}": tensor for name, tensor in self.average.state_dict().items()}
        state |= {f"{_OPTIMIZER}{name}": tensor for name, tensor in optimizer_state(self.optimizer).items()}
        scale = self.precision.state_dict()
        return state | {f"{_SCALER}{name}": torch.tensor(float(value)) for name, value in scale.items()}

    def restore(self, state: Mapping[str, Tensor], steps: int, share: float = 1.0) -> None:
        """Restores a state that :meth:`state` returned.

        Args:
            state: The tensors of the state.
            steps: Number of steps done by then.
            share: The run's completed share at the last of them, 0..1.
        """
        self.network.load_state_dict(part(state, _MODEL))
        if self.average is not None:
            self.average.load_state_dict(part(state, _AVERAGE))
        restore_optimizer(self.optimizer, part(state, _OPTIMIZER))
        scale = {name: float(tensor) for name, tensor in part(state, _SCALER).items()}
        if scale:
            self.precision.load_state_dict(scale)
        self.steps, self.share = steps, share

    def _prepare(self, share: float) -> None:
        self.objective.before_step(self.network, self.average, self.share, share)
        self.network.train()
        for module in self.frozen:
            module.eval()
        rate = self.objective.rate_at(share)
        for group, peak in zip(self.optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * rate
        self.optimizer.zero_grad(set_to_none=True)
        # Dropout also continues as if never interrupted; it differs between processes.
        torch.manual_seed((self.recipe.seed * 1_000_003 + self.steps) * world() + rank())

    def _learn(self, examples: B, share: float, *, last: bool) -> tuple[Tensor, Mapping[str, float]]:
        """Adds the gradients of one of several parts; returns its contribution to the loss over all processes."""
        alone = last or world() == 1
        with nullcontext() if alone else self.fabric.no_backward_sync(self._forward):
            scored = self.objective.loss(gathered(self._forward(examples, share)), share)
            loss = scored.loss / self.recipe.accumulate
            self.fabric.backward(loss)
        return loss.detach(), scored.figures

    def _rescales(self) -> bool:
        """Returns whether non-finite gradients only mean that their scale is too large, so the update is skipped."""
        scaler = getattr(self.precision, "scaler", None)
        return scaler is not None and scaler.get_scale() > 1

    def _not_finite(self, what: str) -> SiameseError:
        fix = f"lower {self.recipe.section}.learning_rate; the last good state is kept"
        return SiameseError(what, where=self.recipe.section, fix=fix)

    @torch.no_grad()
    def _update_average(self) -> None:
        if self.average is None or self.recipe.ema_decay is None:
            return
        # A short memory at first, so that a random start is soon forgotten.
        decay = min(self.recipe.ema_decay, self.steps / (self.steps + 10))
        ours, theirs = self.average.state_dict(), self.network.state_dict()
        floats = [name for name, tensor in ours.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([ours[name] for name in floats], [theirs[name] for name in floats], 1 - decay)
        for name in ours.keys() - floats:
            ours[name].copy_(theirs[name])


class _Forward(nn.Module, Generic[N, B, O]):
    """Wraps the objective's forward pass in a module, as Fabric requires."""

    def __init__(self, network: N, objective: Objective[N, B, O]) -> None:
        super().__init__()
        self.network, self._objective = network, objective

    def forward(self, examples: B, share: float) -> O:
        """Runs the objective; see :meth:`Objective.forward`."""
        return self._objective.forward(self.network, examples, share)


def split(batch: B, count: int) -> Iterator[B]:
    """Splits a batch into the given number of equally large ones, in order."""
    for number in range(count):
        yield apply_to_collection(batch, Tensor, lambda tensor, number=number: tensor.chunk(count)[number])
