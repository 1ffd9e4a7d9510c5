"""What tests know of the whole local stack that a fixture runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from siamese.settings import Settings


@dataclass(frozen=True)
class RunningStack:
    """A whole local stack; ``environment`` is for subprocesses that shall use it."""

    settings: Settings
    root: Path
    environment: dict[str, str]
