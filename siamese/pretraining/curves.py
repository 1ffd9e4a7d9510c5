"""The curves of a pre-training: one row an epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field


class PretrainingRow(BaseModel):
    """What an epoch came to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int = Field(ge=1)
    step: int
    minutes: float
    loss: float = Field(description="Mean of the epoch's steps.")
    spread: float = Field(description="Mean of the epoch's steps; near 1 spread, 0 collapsed.")
    rank: float = Field(
        description="Mean of the epoch's steps: in about how many directions a batch's embeddings differ."
    )
    learning_rate: float = Field(description="As a share of its peak.")
    places_per_second: float
    loader_wait_share: float = Field(description="Share of the epoch's time in which the encoder waited for views.")


def write_curves(rows: Sequence[PretrainingRow]) -> bytes:
    """The rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(PretrainingRow.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump() for row in rows)
    return text.getvalue().encode()
