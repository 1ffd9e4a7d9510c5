"""What the engine needs to know about a run: budget, seed, batches, number format, and what to store and when."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from siamese.params.section import Section

Clock = Literal["wall", "processor"]


class Recipe(BaseModel):
    """The params that mean the same for every task; those missing from a section keep their defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    section: str
    epochs: int
    minutes: float | None = None
    clock: Clock = "wall"
    seed: int
    batch: int
    accumulate: int = 1
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "fp32"
    warmup_share: float
    clip_norm: float
    ema_decay: float | None = None
    validate_every: int = 1
    keep: Literal["last", "best"] = "last"
    checkpoint_seconds: float
    loader_threads: int
    processes: int = 1

    @classmethod
    def of(cls, name: str, params: Section) -> Recipe:
        """Returns the recipe contained in a section of params.

        Args:
            name: The section's name, for messages.
            params: The section.
        """
        return cls.model_validate({"section": name, **params.model_dump(include=set(cls.model_fields))})

    @property
    def step_size(self) -> int:
        """Number of examples in one update of the weights, over all processes."""
        return self.batch * self.accumulate
