"""A task of a cluster during which its worker is killed, the first time."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from siamese.mapping.blocks import KeptBlock
from siamese.mapping.plans import BlockPlan
from siamese.mapping.spread import WindowWork, predict_windows


@dataclass(frozen=True)
class Dying:
    """Predicts windows; the first worker to have kept one is killed."""

    mark: Path
    """Written by the worker that dies."""

    def __call__(self, work: WindowWork, plans: Sequence[BlockPlan]) -> list[KeptBlock]:
        """Stands in for :func:`siamese.mapping.spread.predict_windows`."""
        first, *others = plans
        kept = predict_windows(work, [first])
        try:
            self.mark.touch(exist_ok=False)
        except FileExistsError:
            return [*kept, *predict_windows(work, others)]
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError
