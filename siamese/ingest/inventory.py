"""Inventory of a prefix, kept in a temporary database so that memory stays flat however much there is."""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from siamese.ingest.catalog import InventoryEntry

_COLUMNS: Final = tuple(InventoryEntry.model_fields)
_MOST_IN_A_SCENE: Final = 64


@dataclass(frozen=True)
class Group:
    """All files that one row of the catalog is made from."""

    scene: str
    entries: tuple[InventoryEntry, ...]
    """In order of name; the first 64 when there are more."""
    count: int


class Inventory:
    """A store of entries that can be read in order of scene or of name."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="siamese-")
        self._database = sqlite3.connect(Path(self._folder.name) / "inventory.sqlite", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(f"CREATE TABLE entry ({', '.join(_COLUMNS)})")
        self._database.execute("BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._folder.cleanup()

    def add(self, entries: Iterable[InventoryEntry]) -> None:
        """Adds entries, in any order."""
        marks = ", ".join("?" * len(_COLUMNS))
        rows = (tuple(getattr(entry, column) for column in _COLUMNS) for entry in entries)
        self._database.executemany(f"INSERT INTO entry VALUES ({marks})", rows)  # noqa: S608

    def count(self, *roles: str) -> int:
        """Returns how many entries have one of these roles; counts all entries if no role is given."""
        where = f"WHERE role IN ({', '.join('?' * len(roles))})" if roles else ""
        (count,) = self._database.execute(f"SELECT count(*) FROM entry {where}", roles).fetchone()  # noqa: S608
        return int(count)

    def archives(self) -> Iterator[str]:
        """Yields the identity of every archive that has members here."""
        yield from (row[0] for row in self._database.execute(_ARCHIVES))

    def count_groups(self) -> int:
        """Returns how many rows the catalog will have."""
        query = f"SELECT count(DISTINCT scene) FROM entry WHERE {_IN_CATALOG}"  # noqa: S608
        return int(self._database.execute(query).fetchone()[0])

    def entries(self) -> Iterator[InventoryEntry]:
        """Yields every entry in order of name."""
        for row in self._database.execute("SELECT * FROM entry ORDER BY name, uri, start"):
            yield _entry(row)

    def groups(self) -> Iterator[Group]:
        """Yields scenes and stray files, in order of scene."""
        query = f"SELECT * FROM entry WHERE {_IN_CATALOG} ORDER BY scene, name, uri, start"  # noqa: S608
        rows = (_entry(row) for row in self._database.execute(query))
        for scene, members in itertools.groupby(rows, lambda entry: entry.scene):
            first: list[InventoryEntry] = []
            count = 0
            for count, entry in enumerate(members, 1):
                if count <= _MOST_IN_A_SCENE:
                    first.append(entry)
            yield Group(scene, tuple(first), count)


_ARCHIVES: Final = "SELECT DISTINCT archive FROM entry WHERE archive IS NOT NULL"
_IN_CATALOG: Final = "role NOT IN ('ignored', 'archive')"


def _entry(row: tuple[Any, ...]) -> InventoryEntry:
    return InventoryEntry.model_construct(**dict(zip(_COLUMNS, row, strict=True)))
