"""Names of files in tables and on object storage, which may be hostile."""

from __future__ import annotations

from pathlib import PurePosixPath


def stays_below(name: str) -> bool:
    """Tells whether a relative name stays in the folder that it is relative to."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and "\\" not in name and "\0" not in name
