"""The curves of a run: one row per epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Row = Mapping[str, float | int]


def write_curves(rows: Sequence[Row]) -> bytes:
    """Returns the rows as CSV; a figure that was not measured in an epoch is empty."""
    import pandas as pd

    return pd.DataFrame([dict(row) for row in rows]).to_csv(index=False, lineterminator="\n").encode()
