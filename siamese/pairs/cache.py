"""Local copies of what storage holds, named by content: they may vanish, are bounded, and many processes share them."""

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
    """A folder of files named by the sha256 of what they hold.

    A copy is checked whenever it is read, and appears whole or not at all, so neither a second process, nor a kill,
    nor somebody who empties the folder can do harm. It is cut back to about its limit by dropping copies at random:
    training reads everything in turn, for which dropping the oldest would drop just what comes next. A disk that is
    full or read-only costs speed, nothing else. Safe to share between threads.
    """

    def __init__(self, folder: Path, limit_bytes: int, folders: int = 256) -> None:
        """Uses a folder; it need not exist.

        Args:
            folder: Where copies lie.
            limit_bytes: About how much they may take.
            folders: 1 to 256, among which copies are spread; each is kept to its share of the limit by itself.
        """
        self._folder, self._folders = folder, folders
        self._share = max(1, limit_bytes // folders)
        self._grown: defaultdict[str, int] = defaultdict(int)

    def get(self, digest: bytes) -> bytes | None:
        """The bytes with this sha256, if there is a sound copy."""
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
        """Keeps a copy, unless the disk has no room for it or it is larger than its share of the cache."""
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
