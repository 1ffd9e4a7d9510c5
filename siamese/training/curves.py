"""The curves of a training: one row an epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from siamese.manifests import Scores


class EpochRow(BaseModel):
    """What an epoch came to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int = Field(ge=1)
    step: int
    minutes: float
    loss: float = Field(description="Mean of the epoch's steps.")
    learning_rate: float = Field(description="As a share of its peak.")
    crops_per_second: float
    loader_wait_share: float = Field(description="Share of the epoch's time in which the network waited for crops.")
    validation: Scores | None = Field(description="Official scores of the averaged weights, when validated.")

    def numbers(self) -> dict[str, float]:
        """Every figure by its name."""
        row = self.model_dump(exclude={"validation"})
        return row | (self.validation.model_dump() if self.validation else {})


def write_curves(rows: Sequence[EpochRow]) -> bytes:
    """The rows as CSV; a figure that was not taken is empty."""
    columns = [*(name for name in EpochRow.model_fields if name != "validation"), *Scores.model_fields]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.numbers() for row in rows)
    return text.getvalue().encode()
