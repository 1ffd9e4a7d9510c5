"""How far a training is, and the learning rate that goes with it."""

from __future__ import annotations

import math
from typing import Protocol


class Limited(Protocol):
    """Params that may limit a training's time."""

    @property
    def minutes(self) -> float | None:
        """Of training, over all restarts."""


def progress_of(step: int, steps: int, elapsed_s: float, params: Limited) -> float:
    """How far a training is, 0..1: by its steps or by its minutes, whichever is further."""
    by_time = elapsed_s / (60 * params.minutes) if params.minutes is not None else 0.0
    return min(1.0, max(step / steps, by_time))


def rate_factor(progress: float, warmup_share: float) -> float:
    """Share of the peak learning rate: a linear rise, then half a cosine down to 1 %."""
    if progress < warmup_share:
        return max(0.01, progress / warmup_share)
    fall = (progress - warmup_share) / (1 - warmup_share)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fall))
