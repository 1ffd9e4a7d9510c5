"""The stack's state between commands: its ports and started services, changed by one command at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console

from siamese.errors import SiameseError
from siamese.stack.layout import PRIVATE_FILE, Layout, write_private
from siamese.stack.processes import Identity

_REBOOT_TOLERANCE_S = 60.0


class Started(BaseModel):
    """A service that was started and has not been stopped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: Identity
    settings: str = Field(description="Hash of the command and environment that it was started with.")


class Record(BaseModel):
    """The content of ``stack.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ports: dict[str, int] = Field(default_factory=dict, description="By name; kept for good.")
    services: dict[str, Started] = Field(default_factory=dict)
    booted: float = Field(default_factory=psutil.boot_time, description="When the machine started, seconds since 1970.")
    root: Path | None = Field(None, description="Folder that workers run flows in, while the stack is up.")
    deployed: str | None = Field(None, description="Hash of the deployments that were last made.")

    @property
    def before_reboot(self) -> bool:
        """Whether the record dates from before the machine's last boot."""
        return bool(self.services) and abs(psutil.boot_time() - self.booted) > _REBOOT_TOLERANCE_S

    @classmethod
    def read(cls, layout: Layout) -> Record:
        """Reads the record; an empty one if none has been written yet.

        Raises:
            SiameseError: The file is corrupt.
        """
        if not layout.record.is_file():
            return cls()
        try:
            return cls.model_validate_json(layout.record.read_bytes())
        except ValidationError as error:
            fix = "`siamese down` ends every process and writes it anew, with ports to be chosen anew"
            raise SiameseError("not a stack record", where=str(layout.record), fix=fix) from error

    def write(self, layout: Layout) -> None:
        """Writes the record to disk."""
        write_private(layout.record, self.model_dump_json(indent=1) + "\n")

    def with_service(self, name: str, started: Started) -> Record:
        """Returns the record with one more started service."""
        return self.model_copy(update={"services": {**self.services, name: started}, "booted": psutil.boot_time()})


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Holds the lock that lets one command at a time change the stack; others wait for it."""
    with layout.lock.open("ab") as file:
        layout.lock.chmod(PRIVATE_FILE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            Console(stderr=True).print("another `siamese up` or `down` is at work here; waiting for it", soft_wrap=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
