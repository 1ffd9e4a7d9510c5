"""What the machine could do at most."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


def matmul_gflops(kind: Literal["bf16", "fp32"], side: int = 2048) -> tuple[float, float]:
    """One large matrix product: 10^9 operations a second, and the same a second of processor time."""
    import torch

    left, right = _matrices(kind, side)
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
    left, right = torch.randn(2, side, side, device=best_device()).to(dtype)
    torch.mm(left, right)
    return left, right
