"""How far a run is, and the learning rate that goes with it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch

from siamese.learning.recipe import Clock


def share_of(step: int, steps: int, elapsed_s: float, minutes: float | None) -> float:
    """How far a run is, 0..1: by its steps or by its minutes, whichever is further."""
    by_time = elapsed_s / (60 * minutes) if minutes is not None else 0.0
    return min(1.0, max(step / steps, by_time))


def clock_of(kind: Clock) -> Callable[[], float]:
    """The clock that ``minutes`` are counted by, in seconds; only differences mean anything."""
    match kind:
        case "wall":
            return time.monotonic
        case "processor":
            return lambda: time.process_time() / torch.get_num_threads()


def rate_factor(share: float, warmup_share: float) -> float:
    """Share of the peak learning rate: a linear rise, then half a cosine down to 1 %."""
    if share < warmup_share:
        return max(0.01, share / warmup_share)
    fall = (share - warmup_share) / (1 - warmup_share)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fall))
