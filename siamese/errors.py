"""The one error that people see: what is wrong, where, and what to do."""

from __future__ import annotations


class SiameseError(Exception):
    """A failure that its reader can act on.

    Args:
        what: What is wrong, as a short sentence without a final stop.
        where: The object, file or setting concerned.
        fix: What the reader can do about it.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(what, where, fix)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f" — {self.fix}" if self.fix else ""
        return " ".join(f"{place}{self.what}{remedy}".split())


class NotPublishedError(SiameseError):
    """A manifest was asked for that no stage has published."""


class TransientError(SiameseError):
    """A failure that time may heal: a server that does not answer."""
