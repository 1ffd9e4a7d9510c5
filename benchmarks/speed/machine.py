"""The peak performance of the machine."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


_ENOUGH_S = 0.02
"""A smaller product that takes this long shows how slow the larger one would be: minutes, where bf16 is emulated."""


def matmul_gflops(kind: Literal["bf16", "fp32"], side: int = 2048) -> tuple[float, float]:
    """Measures one large matrix product: 10^9 operations per second, and per second of processor time."""
    import torch

    left, right = _matrices(kind, side)
    side = len(left)
    started, used = time.perf_counter(), time.process_time()
    torch.mm(left, right)
    if left.is_cuda:
        torch.cuda.synchronize()
    gflop = 2 * side**3 / 1e9
    return gflop / (time.perf_counter() - started), gflop / max(time.process_time() - used, 1e-9)


@cache
def _matrices(kind: str, side: int) -> tuple[Tensor, Tensor]:
    import torch

    from siamese.model.precision import best_device

    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[kind]
    tried = 256
    while True:
        left, right = torch.randn(2, tried, tried, device=best_device()).to(dtype)
        torch.mm(left, right)
        started = time.perf_counter()
        torch.mm(left, right)
        if tried >= side or time.perf_counter() - started > _ENOUGH_S:
            return left, right
        tried *= 2
