"""Measurements on a card: time, memory, arithmetic, and the card's own peak."""

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
    """The device and the size of the measurements."""

    device: torch.device
    quick: bool

    def of(self, whole: int, tiny: int) -> int:
        """Returns the full size, or a tiny one to try out the script."""
        return tiny if self.quick else whole

    def compiling(self, mode: str) -> dict[str, Any]:
        """Returns options of ``torch.compile``; a trial of the script captures graphs without generating code."""
        return {"backend": "aot_eager"} if self.quick else {"mode": mode}


def report(name: str, work: Callable[[], Figures]) -> Figures:
    """Prints the figures of a piece of work as a line of JSON; a failure is reported and the rest continues."""
    began = time.perf_counter()
    try:
        figures = work()
    except Exception as error:
        figures = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
    spent = round(time.perf_counter() - began, 2)
    print(json.dumps({"name": name, **rounded(figures), "seconds": spent}), flush=True)
    return figures


def seconds_each(work: Callable[[], object], scale: Scale, *, most: int, at_most_s: float = 4.0) -> float:
    """Returns the mean time of a piece of work after two warm-up runs; waits for the device."""
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
    """Waits until the device has finished all work submitted to it."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def forget_peak(device: torch.device) -> None:
    """Resets the record of peak memory."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_mib(device: torch.device) -> float | None:
    """Returns the peak memory of tensors since :func:`forget_peak`; None on a CPU."""
    return torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else None


def flop(work: Callable[[], object]) -> float:
    """Counts floating-point operations of matrix products and convolutions in a piece of work."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def matmul_peak(scale: Scale, kind: torch.dtype) -> float:
    """Measures the FLOP/s of a large square matrix product, as the card's peak."""
    side = scale.of(8192, 128)
    one, two = (torch.randn(side, side, device=scale.device, dtype=kind) for _ in range(2))
    return 2 * side**3 / seconds_each(lambda: one @ two, scale, most=20)


def rounded(figures: Figures) -> Figures:
    """Rounds floats to four significant digits."""
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in figures.items()}
