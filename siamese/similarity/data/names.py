"""Names of files in tables and on object storage, which may be hostile."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import Final

_LONGEST: Final = 1024
"""Bytes of a key on object storage, at most."""
_LONGEST_PART: Final = 255
"""Bytes of the name of a file or folder, at most."""


def readable(name: str) -> str:
    """Returns the name of a file as text that UTF-8 can hold; bytes that are none are written as escapes."""
    return name.encode(errors="backslashreplace").decode()


def shortened(name: str, most: int = 60) -> str:
    """Returns a name for a message; the middle of a long one is left out."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most // 2) + 1 :]}"


def stays_below(name: str) -> bool:
    """Tells whether a relative name stays in the folder that it is relative to, and is short enough to be one."""
    parts = PurePosixPath(name).parts
    if any(len(os.fsencode(part)) > _LONGEST_PART for part in parts) or len(os.fsencode(name)) > _LONGEST:
        return False
    return bool(parts) and not name.startswith("/") and ".." not in parts and "\\" not in name and "\0" not in name
