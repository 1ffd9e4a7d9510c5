"""The state of a pre-training, and what one step does to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from siamese.errors import SiameseError
from siamese.params import PretrainingParams
from siamese.pretraining.collapse import rank, spread
from siamese.pretraining.method import Method
from siamese.pretraining.views import Views
from siamese.training.optimizer import optimizer_state, part, restore_optimizer
from siamese.training.schedule import rate_factor

_METHOD, _OPTIMIZER = "method.", "optimizer."


@dataclass(frozen=True)
class Step:
    """What a step came to: its loss, and the spread and rank of its embeddings."""

    loss: float
    spread: float
    rank: float


class Trainer:
    """A method and its optimizer."""

    def __init__(self, method: Method, params: PretrainingParams, device: torch.device) -> None:
        self.params, self.device = params, device
        self.method = method.to(device)
        self.method.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(_groups(method, params), lr=params.learning_rate, fused=True)
        self.steps = 0

    def step(self, views: Views, progress: float) -> Step:
        """Learns from one batch.

        Args:
            views: See :data:`siamese.pretraining.views.Views`.
            progress: How far the work is, 0..1.

        Raises:
            SiameseError: The loss or a gradient is not a number.
        """
        self.method.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.params.learning_rate * rate_factor(progress, self.params.warmup_share)
        torch.manual_seed(self.params.seed * 1_000_003 + self.steps)  # dropout too goes on as if never cut off
        compared = self.method.compare([view.to(self.device, non_blocking=True).float() / 255 for view in views])
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(compared.loss)
        norm = nn.utils.clip_grad_norm_(self.method.parameters(), self.params.clip_norm)
        value = float(compared.loss.detach())
        if not (torch.isfinite(norm) and torch.isfinite(compared.loss.detach())):
            what = f"the loss is {value:.4g} and the gradient's norm {float(norm):.4g} at step {self.steps}"
            fix = "lower pretraining.learning_rate; the last good state is kept"
            raise SiameseError(what, where="pre-training", fix=fix)
        self.optimizer.step()
        self.method.after_step(progress)
        self.steps += 1
        return Step(value, spread(compared.embedding), rank(compared.embedding))

    def state(self) -> dict[str, Tensor]:
        """Everything that a step changes, as named tensors; they may change with the next step."""
        state = {f"{_METHOD}{name}": tensor for name, tensor in self.method.state_dict().items()}
        return state | {f"{_OPTIMIZER}{name}": tensor for name, tensor in optimizer_state(self.optimizer).items()}

    def restore(self, state: Mapping[str, Tensor], steps: int) -> None:
        """Takes up a state that :meth:`state` gave, after so many steps."""
        self.method.load_state_dict(part(state, _METHOD))
        restore_optimizer(self.optimizer, part(state, _OPTIMIZER))
        self.steps = steps


def _groups(method: Method, params: PretrainingParams) -> list[dict[str, object]]:
    """With and without weight decay (none on biases and batch norm)."""
    learned = [parameter for parameter in method.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in learned if parameter.ndim > 1], "weight_decay": params.weight_decay},
        {"params": [parameter for parameter in learned if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
