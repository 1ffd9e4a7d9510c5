"""How things are measured on a card: time, memory, arithmetic, and the card's own peak."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

Figures = dict[str, Any]


@dataclass(frozen=True)
class Scale:
    """Where and how large."""

    device: torch.device
    quick: bool

    def of(self, whole: int, tiny: int) -> int:
        """A size: the whole one, or a tiny one to try the script."""
        return tiny if self.quick else whole

    def compiling(self, mode: str) -> dict[str, Any]:
        """Options of ``torch.compile``; trying the script captures graphs without generating code."""
        return {"backend": "aot_eager"} if self.quick else {"mode": mode}


def report(name: str, work: Callable[[], Figures]) -> Figures:
    """Prints the figures of a piece of work as a line of JSON; one that fails is reported and the rest goes on."""
    began = time.perf_counter()
    try:
        figures = work()
    except Exception as error:
        figures = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
    spent = round(time.perf_counter() - began, 2)
    print(json.dumps({"name": name, **rounded(figures), "seconds": spent}), flush=True)
    return figures


def seconds_each(work: Callable[[], object], scale: Scale, *, most: int, at_most_s: float = 4.0) -> float:
    """Mean time of a piece of work, after it has been done twice; the device is waited for."""
    for _ in range(2):
        work()
    wait(scale.device)
    began, done = time.perf_counter(), 0
    while done < most and (done < 3 or time.perf_counter() - began < at_most_s):
        work()
        wait(scale.device)
        done += 1
    return (time.perf_counter() - began) / done


def wait(device: torch.device) -> None:
    """Waits until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def forget_peak(device: torch.device) -> None:
    """Begins to look for the peak of memory anew."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_mib(device: torch.device) -> float | None:
    """Most memory that tensors took since :func:`forget_peak`; None on a CPU."""
    return torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else None


def flop(work: Callable[[], object]) -> float:
    """Floating-point operations of matrix products and convolutions in a piece of work."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def matmul_peak(scale: Scale, kind: torch.dtype) -> float:
    """FLOP/s of a large square matrix product, which is what the card can do at best."""
    side = scale.of(8192, 128)
    one, two = (torch.randn(side, side, device=scale.device, dtype=kind) for _ in range(2))
    return 2 * side**3 / seconds_each(lambda: one @ two, scale, most=20)


def rounded(figures: Figures) -> Figures:
    """Floats to four significant digits."""
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in figures.items()}
