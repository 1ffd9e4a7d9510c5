"""Paths of the local stack's data, logs, credentials and record, all inside one private folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from siamese.settings import STACK_ENV_FILE

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600


@dataclass(frozen=True)
class Layout:
    """Paths inside the stack's folder; ``home`` is absolute."""

    home: Path

    @property
    def record(self) -> Path:
        """The record of running services and their ports."""
        return self.home / "stack.json"

    @property
    def lock(self) -> Path:
        """Lock file, held while the stack is being brought up or down."""
        return self.home / "stack.lock"

    @property
    def environment(self) -> Path:
        """Settings for clients, as KEY=VALUE lines."""
        return self.home / STACK_ENV_FILE

    @property
    def aws_credentials(self) -> Path:
        """Credentials file in the AWS format, for tools that ignore environment variables."""
        return self.home / "aws" / "credentials"

    @property
    def aws_config(self) -> Path:
        """Config file in the AWS format."""
        return self.home / "aws" / "config"

    @property
    def login(self) -> Path:
        """User and password for the servers' web pages."""
        return self.home / "login"

    @property
    def tls(self) -> Path:
        """Certificates for the S3 server's internal ports."""
        return self.home / "tls"

    def data(self, service: str) -> Path:
        """Returns a service's data folder."""
        return self.home / "data" / service

    def log(self, service: str) -> Path:
        """Returns the path of a service's log."""
        return self.home / "logs" / f"{service}.log"

    def make(self, *services: str) -> None:
        """Creates the folders, readable by their owner only."""
        folders = [self.home, self.aws_credentials.parent, self.tls, self.home / "logs", self.home / "data"]
        for folder in (*folders, *map(self.data, services)):
            folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            folder.chmod(PRIVATE_FOLDER)
        write_private(self.home / ".gitignore", "*\n")


def write_private(path: Path, text: str) -> None:
    """Atomically writes a file that only its owner can read; leaves it untouched when the content is unchanged."""
    if path.is_file() and path.read_text() == text:
        path.chmod(PRIVATE_FILE)
        return
    partial = path.with_name(f".{path.name}.part")
    partial.touch(PRIVATE_FILE)
    partial.chmod(PRIVATE_FILE)
    partial.write_text(text)
    partial.replace(path)
