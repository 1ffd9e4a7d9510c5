"""How far a training is, and the learning rate that goes with it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Protocol

import torch

from siamese.params import TrainingParams


class Limited(Protocol):
    """Params that may limit a training's time."""

    @property
    def minutes(self) -> float | None:
        """Of training, over all restarts."""


def progress_of(step: int, steps: int, elapsed_s: float, params: Limited) -> float:
    """How far a training is, 0..1: by its steps or by its minutes, whichever is further."""
    by_time = elapsed_s / (60 * params.minutes) if params.minutes is not None else 0.0
    return min(1.0, max(step / steps, by_time))


def rate_at(progress: float, params: TrainingParams) -> float:
    """Share of the peak learning rate at a point of a training, 0..1; each stage rises and falls by itself."""
    first = params.localization_share
    own = progress / first if progress < first else (progress - first) / (1 - first)
    return rate_factor(own, params.warmup_share)


def clock_of(params: TrainingParams) -> Callable[[], float]:
    """The clock that ``minutes`` are counted by, in seconds; only differences mean anything."""
    match params.clock:
        case "wall":
            return time.monotonic
        case "processor":
            return lambda: time.process_time() / torch.get_num_threads()


def rate_factor(progress: float, warmup_share: float) -> float:
    """Share of the peak learning rate: a linear rise, then half a cosine down to 1 %."""
    if progress < warmup_share:
        return max(0.01, progress / warmup_share)
    fall = (progress - warmup_share) / (1 - warmup_share)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fall))
