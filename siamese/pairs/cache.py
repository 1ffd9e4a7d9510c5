"""A bounded local cache of stored data, named by content, that processes share and that may be deleted any time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import secrets
from collections import defaultdict
from pathlib import Path

_SLACK = 16


class ContentCache:
    """A folder of files named by the sha256 of their content.

    A copy is checked whenever it is read and is written atomically, so a second process, a kill or an emptied folder
    does no harm. The folder is kept to about its limit by dropping copies at random: training reads everything in
    turn, so dropping the oldest would drop exactly what is needed next. A full or read-only disk only costs speed.
    Safe to share between threads.
    """

    def __init__(self, folder: Path, limit_bytes: int, folders: int = 256) -> None:
        """Uses a folder, which need not exist yet.

        Args:
            folder: Folder for the copies.
            limit_bytes: Approximate limit of their total size.
            folders: Number of subfolders, 1 to 256, that copies are spread over; each keeps to its share of the limit.
        """
        self._folder, self._folders = folder, folders
        self._share = max(1, limit_bytes // folders)
        self._grown: defaultdict[str, int] = defaultdict(int)

    def get(self, digest: bytes) -> bytes | None:
        """Returns the bytes with this sha256 if there is an intact copy, else None."""
        path = self._path(digest)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data).digest() == digest:
            return data
        with contextlib.suppress(OSError):
            path.unlink()
        return None

    def put(self, digest: bytes, data: bytes) -> None:
        """Stores a copy, unless the disk has no room for it or it exceeds its share of the cache."""
        if len(data) > self._share:
            return
        path = self._path(digest)
        partial = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data)
            partial.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                partial.unlink()
            return
        self._grown[path.parent.name] += len(data)
        if self._grown[path.parent.name] > self._share // _SLACK:
            self._grown[path.parent.name] = 0
            _cut_back(path.parent, self._share)

    def _path(self, digest: bytes) -> Path:
        return self._folder / f"{digest[0] % self._folders:02x}" / digest.hex()


def _cut_back(folder: Path, limit: int) -> None:
    sizes: dict[str, int] = {}
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for entry in found:
            with contextlib.suppress(OSError):
                sizes[entry.path] = entry.stat().st_size
    excess = sum(sizes.values()) - limit
    order = sorted(sizes)
    random.shuffle(order)
    for path in order:
        if excess <= 0:
            return
        with contextlib.suppress(OSError):
            Path(path).unlink()
        excess -= sizes[path]
