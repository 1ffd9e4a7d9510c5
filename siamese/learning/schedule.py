"""The progress of a run, and the learning rate that follows from it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch

from siamese.learning.recipe import Clock


def share_of(step: int, steps: int, elapsed_s: float, minutes: float | None) -> float:
    """Returns the completed share of a run, 0..1: by steps or by minutes, whichever is further along."""
    by_time = elapsed_s / (60 * minutes) if minutes is not None else 0.0
    return min(1.0, max(step / steps, by_time))


def clock_of(kind: Clock) -> Callable[[], float]:
    """Returns the clock that ``minutes`` are measured with, in seconds; only differences are meaningful."""
    match kind:
        case "wall":
            return time.monotonic
        case "processor":
            return lambda: time.process_time() / torch.get_num_threads()


def rate_factor(share: float, warmup_share: float) -> float:
    """Returns the share of the peak learning rate: a linear warm-up, then half a cosine down to 1 %."""
    if share < warmup_share:
        return max(0.01, share / warmup_share)
    fall = (share - warmup_share) / (1 - warmup_share)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fall))
