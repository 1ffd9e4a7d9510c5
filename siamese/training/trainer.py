"""The state of a training, and what one step does to it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from siamese.errors import SiameseError
from siamese.model import NetworkOutput, SiameseUNet
from siamese.params import TrainingParams
from siamese.training.crops import Batch
from siamese.training.groups import freeze, parameter_groups
from siamese.training.losses import total_loss
from siamese.training.optimizer import optimizer_state, part, restore_optimizer
from siamese.training.precision import Precision
from siamese.training.reduce import gathered, gathered_output, rank, sum_gradients, world
from siamese.training.schedule import rate_at
from siamese.training.stages import check_stages, inherit, localized, stage_of
from siamese.training.synchronised import synchronise

_MODEL, _AVERAGE, _OPTIMIZER, _SCALER = "model.", "average.", "optimizer.", "scaler."
_LOWER = "lower training.learning_rate; the last good checkpoint is kept"


class Trainer:
    """A network, the average of its weights, and its optimizer."""

    def __init__(self, network: SiameseUNet, params: TrainingParams, device: torch.device) -> None:
        check_stages(network, params)
        self.params, self.device = params, device
        if world() > 1:
            synchronise(network)
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.frozen = freeze(self.network, params.frozen_scales)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.network, params),
            lr=params.learning_rate,
            weight_decay=params.weight_decay,
            fused=True,
        )
        self._peaks = [group["lr"] for group in self.optimizer.param_groups]
        self.precision = Precision(params, device)
        self.stage = stage_of(0.0, params)
        self.steps = 0

    def step(self, batch: Batch, progress: float) -> float:
        """Learns from the crops of one step, in ``accumulate`` parts.

        The update is that of the mean of the parts' losses. Dice and the norms of the focal losses are taken over each
        part, as are the statistics of batch norm; all else is as if the crops had been one batch.

        Args:
            batch: This process's crops; see :class:`siamese.training.crops.Batch`.
            progress: How far the training is, 0..1.

        Returns:
            The loss.

        Raises:
            SiameseError: The loss or a gradient is not a number; the weights are then left as they were.
        """
        self._prepare(progress)
        parts = self.params.accumulate
        losses = [self._learn(part, parts) for part in batch.to(self.device).parts(parts)]
        loss = float(torch.stack(losses).sum())
        sum_gradients(self.network.parameters())
        self.precision.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.params.clip_norm)
        if not math.isfinite(loss) or not (torch.isfinite(norm) or self.precision.skips(norm)):
            what = f"the loss is {loss:.4g} and the gradient's norm {float(norm):.4g} at step {self.steps}"
            raise SiameseError(what, where="training", fix=_LOWER)
        self.precision.scaler.step(self.optimizer)
        self.precision.scaler.update()
        self.steps += 1
        self._update_average()
        return loss

    def check_finite(self) -> None:
        """Refuses weights, averages or statistics that are no numbers, before they are kept.

        Raises:
            SiameseError: Some are; it names the first tensor concerned.
        """
        for kind, network in (("weights", self.network), ("averaged weights", self.average)):
            for name, tensor in network.state_dict().items():
                if not torch.isfinite(tensor).all():
                    what = f"{name} of the {kind} holds a NaN or infinity after step {self.steps}"
                    raise SiameseError(what, where="training", fix=_LOWER)

    def _prepare(self, progress: float) -> None:
        stage = stage_of(progress, self.params)
        if (self.stage, stage) == ("localization", "damage"):
            for network in (self.network, self.average):
                inherit(network)
        self.stage = stage
        self.network.train()
        for module in self.frozen:
            module.eval()
        for group, peak in zip(self.optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * rate_at(progress, self.params)
        self.optimizer.zero_grad(set_to_none=True)
        # Dropout too goes on as if never cut off; in each process it is another.
        torch.manual_seed((self.params.seed * 1_000_003 + self.steps) * world() + rank())

    def _learn(self, crops: Batch, parts: int) -> Tensor:
        """Adds the gradients of one of several parts; gives its share of the loss over all processes."""
        with self.precision.autocast():
            output = gathered_output(self._output(crops))
        loss = total_loss(output, gathered(crops.mask), self._loss_params()) / parts
        torch.autograd.backward(self.precision.scaler.scale(loss))
        return loss.detach()

    def _loss_params(self) -> TrainingParams:
        return self.params if self.stage == "damage" else self.params.model_copy(update={"damage_weight": 0.0})

    def _output(self, crops: Batch) -> NetworkOutput:
        pre = crops.pre.float() / 255
        if self.stage == "localization":
            return localized(self.network, pre)
        output: NetworkOutput = self.network(pre, crops.post.float() / 255, crops.disaster)
        return output

    def state(self) -> dict[str, Tensor]:
        """Everything that a step changes, as named tensors; they may change with the next step."""
        state = {f"{_MODEL}{name}": tensor for name, tensor in self.network.state_dict().items()}
        state |= {f"{_AVERAGE}{name}": tensor for name, tensor in self.average.state_dict().items()}
        state |= {f"{_OPTIMIZER}{name}": tensor for name, tensor in optimizer_state(self.optimizer).items()}
        scale = self.precision.scaler.state_dict()
        return state | {f"{_SCALER}{name}": torch.tensor(float(value)) for name, value in scale.items()}

    def restore(self, state: Mapping[str, Tensor], steps: int, progress: float = 1.0) -> None:
        """Takes up a state that :meth:`state` gave.

        Args:
            state: Its tensors.
            steps: Steps that had been done.
            progress: How far the training was at the last of them, 0..1.
        """
        self.stage = stage_of(progress, self.params)
        self.network.load_state_dict(part(state, _MODEL))
        self.average.load_state_dict(part(state, _AVERAGE))
        restore_optimizer(self.optimizer, part(state, _OPTIMIZER))
        scale = {name: float(tensor) for name, tensor in part(state, _SCALER).items()}
        if scale:
            self.precision.scaler.load_state_dict(scale)
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
