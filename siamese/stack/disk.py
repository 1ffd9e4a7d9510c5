"""Free space of the disk that holds the local stack."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from siamese.errors import SiameseError

STORAGE_RESERVE = 0.01
"""Share of the disk below which SeaweedFS takes no more data; ``weed mini`` has no option for it."""
SHORT_BYTES = 5 * 2**30


@dataclass(frozen=True)
class DiskSpace:
    """Space on the disk that holds a folder, in bytes."""

    folder: Path
    free: int
    reserve: int
    """What has to stay free for the S3 server to take data; 0 where it keeps none there."""

    @classmethod
    def of(cls, folder: Path, *, holds_storage: bool = True) -> DiskSpace:
        """Measures the disk of a folder, which need not exist yet."""
        usage = shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists()))
        return cls(folder, usage.free, int(usage.total * STORAGE_RESERVE) if holds_storage else 0)

    @property
    def left(self) -> int:
        """Bytes that can still be written; negative when storage already refuses data."""
        return self.free - self.reserve

    @property
    def trouble(self) -> str | None:
        """What is wrong with it, for a person; None when there is enough."""
        if self.left >= SHORT_BYTES:
            return None
        if self.left > 0:
            return f"only {_gib(self.left)} of disk are left for {self.folder}; make room"
        return f"{self.folder}: {self._full}; make room"

    def check(self) -> None:
        """Raises unless storage takes data.

        Raises:
            SiameseError: The disk is full.
        """
        if self.left <= 0:
            fix = "make room, or name a folder on another disk in SIAMESE_HOME"
            raise SiameseError(self._full, where=str(self.folder), fix=fix)

    @property
    def _full(self) -> str:
        return f"the disk is full: {_gib(self.free)} are free, and storage takes no data below {_gib(self.reserve)}"


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
