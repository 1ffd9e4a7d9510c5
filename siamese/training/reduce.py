"""What the processes of one training tell each other; alone, every function gives back what it got.

Each process runs the network on its share of the crops. Batch norm and the losses see all of them, so the gradient of
the one loss is the sum of the processes' gradients: N processes learn what one would from the same crops.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from siamese.model import NetworkOutput

T = TypeVar("T")


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number among them; the first one validates, tracks, keeps states and publishes."""
    return dist.get_rank() if dist.is_initialized() else 0


def from_first(value: T) -> T:
    """What the first process gave; the others wait for it."""
    if world() == 1:
        return value
    box = [value if rank() == 0 else None]
    dist.broadcast_object_list(box, 0)
    return box[0]  # type: ignore[return-value]


def largest(number: int) -> int:
    """The largest of the numbers that the processes gave."""
    if world() == 1:
        return number
    box = torch.tensor(number)
    dist.all_reduce(box, dist.ReduceOp.MAX)
    return int(box)


def share_weights(network: nn.Module) -> None:
    """Gives every process the first one's weights."""
    if world() > 1:
        for tensor in network.state_dict().values():
            dist.broadcast(tensor, 0)


def total(tensor: Tensor) -> Tensor:
    """The sum over the processes; its gradient is that of all of them."""
    summed: Tensor = tensor if world() == 1 else _Total.apply(tensor)
    return summed


def gathered(tensor: Tensor) -> Tensor:
    """The crops ``(N, …)`` of all processes, in order; the gradient goes to this process's own."""
    whole: Tensor = tensor if world() == 1 else _Gathered.apply(tensor)
    return whole


def gathered_output(output: NetworkOutput) -> NetworkOutput:
    """The logits of the crops of all processes."""
    logits: dict[str, Any] = {field.name: _each(getattr(output, field.name)) for field in fields(output)}
    return NetworkOutput(**logits)


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Gives every process the sum of the gradients, in one message."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if world() == 1 or not gradients:
        return
    flat = torch.cat([gradient.ravel() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, part in zip(gradients, torch.split(flat, [one.numel() for one in gradients]), strict=True):
        gradient.copy_(part.view(gradient.shape))


def _each(value: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    return tuple(map(gathered, value)) if isinstance(value, tuple) else gathered(value)


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # noqa: ANN401
        del ctx
        summed = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        del ctx
        return total(gradient)


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # noqa: ANN401
        ctx.crops = len(tensor)
        parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(world())]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        return gradient[rank() * ctx.crops :][: ctx.crops]
