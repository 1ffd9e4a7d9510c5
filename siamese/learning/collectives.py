"""Communication between the processes of one run; in a single process, every function returns its argument.

Each process runs the network on its share of the examples. Batch norm and the loss see all of them, so N processes
learn what a single one would from the same batches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

T = TypeVar("T")


def world() -> int:
    """Returns the number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Returns this process's rank; the first process also validates, tracks, stores states and publishes."""
    return dist.get_rank() if dist.is_initialized() else 0


def from_first(value: T) -> T:
    """Returns the first process's value; the others wait for it."""
    if world() == 1:
        return value
    box = [value if rank() == 0 else None]
    dist.broadcast_object_list(box, 0)
    return box[0]  # type: ignore[return-value]


def by_first(work: Callable[[Callable[[], None]], T]) -> T:
    """Runs work in the first process only, and returns its result in all of them.

    The others wait from one beat to the next, so the group's timeout bounds one piece of the work, not all of it.

    Args:
        work: Called in the first process with a function that it must call between pieces of the work.
    """
    if world() == 1:
        return work(lambda: None)
    if rank() == 0:
        result = work(lambda: _send((False, None)))
        _send((True, result))
        return result
    while True:
        done, told = from_first((False, None))
        if done:
            outcome: Any = told
            return outcome  # type: ignore[no-any-return]


def agree(share: float, signal: int, device: torch.device) -> tuple[float, int]:
    """Returns the first process's completed share of the run, and the largest signal number of any process."""
    if world() == 1:
        return share, signal
    box = torch.tensor([share if rank() == 0 else 0.0, float(signal)], dtype=torch.float64, device=device)
    dist.all_reduce(box, dist.ReduceOp.MAX)
    return float(box[0]), int(box[1])


def total(tensor: Tensor) -> Tensor:
    """Returns the sum over the processes; its gradient is that of all of them."""
    summed: Tensor = tensor if world() == 1 else _Total.apply(tensor)
    return summed


def gathered(output: T) -> T:
    """Returns the tensors of the examples of all processes, in order.

    The gradient that comes back is scaled so that its mean over the processes, as taken by data-parallel training, is
    the gradient of one loss over all examples.
    """
    if world() == 1:
        return output
    whole: T = apply_to_collection(output, Tensor, _Gathered.apply)
    return whole


def _send(message: tuple[bool, object]) -> None:
    from_first(message)


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
        ctx.examples = len(tensor)
        parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(world())]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        return gradient[rank() * ctx.examples :][: ctx.examples] * world()
