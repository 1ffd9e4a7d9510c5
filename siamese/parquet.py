"""Parquet tables that are written a group of rows at a time, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq


class TableWriter(AbstractContextManager["TableWriter"]):
    """Writes rows to a Parquet file in row groups whose boundaries depend on the rows alone."""

    def __init__(self, path: Path, schema: pa.Schema, group_rows: int) -> None:
        self._schema, self._group_rows = schema, group_rows
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", store_schema=False)
        self._rows: list[tuple[Any, ...]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
        self._writer.close()

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Appends rows, values in the schema's order."""
        self._rows.extend(rows)
        if len(self._rows) >= self._group_rows:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
            self._writer.write_table(pa.table(arrays, schema=self._schema), row_group_size=len(self._rows))
        self._rows = []
