"""Tables as CSV: pandas frames whose values are written as they are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from siamese.errors import SiameseError

if TYPE_CHECKING:
    import pandas as pd


def csv_bytes(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A table as CSV in UTF-8, with a header; an absent value (None) is an empty field."""
    # As objects, whole numbers stay whole beside absent ones.
    import pandas as pd  # training writes curves also where only torch is installed, on small tables

    frame = pd.DataFrame(list(rows), columns=list(columns), dtype=object)
    return frame.to_csv(index=False, lineterminator="\n").encode()


def read_csv(data: bytes, types: Mapping[str, type] | type = str) -> pd.DataFrame:
    """The table that such bytes hold.

    Args:
        data: CSV with a header.
        types: Of all columns, or by column; text that looks like a number or like nothing ("NA") stays text.

    Raises:
        ValueError: These are no such bytes, or a line has more cells than the header.
    """
    import pandas as pd

    table = pd.read_csv(io.BytesIO(data), dtype=types, keep_default_na=False)
    if isinstance(table.index, pd.RangeIndex):
        return table
    # The first row has more cells than the header, so pandas took the first columns for names of rows.
    beyond = table.iloc[:, -table.index.nlevels :].astype(str).to_numpy() != ""
    if beyond.any():
        raise ValueError(f"line {2 + int(beyond.any(axis=1).argmax())} has more cells than the header")
    every = range(len(table.columns))
    return pd.read_csv(io.BytesIO(data), dtype=types, keep_default_na=False, index_col=False, usecols=every)


def csv_rows(text: str, where: str) -> tuple[tuple[str, ...], list[dict[str, str | None]]]:
    """Returns the columns and the rows of a CSV table that a person wrote; a field that a row lacks is None.

    Args:
        text: CSV with a header.
        where: Name of the file, for messages.

    Raises:
        SiameseError: A quote is not closed, which would swallow the rows after it, or a field is too long.
    """
    # Not strict, a table would end at the open quote without a word.
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = tuple(reader.fieldnames or ())
        return names, [{name: value for name, value in row.items() if name in names} for row in reader]
    except csv.Error as error:
        fix = "close every quote, and keep each field below 131,072 characters"
        raise SiameseError(f"not a CSV table after line {reader.line_num}: {error}", where=where, fix=fix) from error
