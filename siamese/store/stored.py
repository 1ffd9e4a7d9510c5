"""Data that is kept on storage as JSON and stays what it was when it was written, whichever version reads it."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

FROM_STORAGE = object()
"""Validation context of data that is read from storage."""


class Stored(BaseModel):
    """A manifest or a part of one.

    The fields that are set are those that its JSON holds. Data made in this process has them all set; data read from
    storage leaves unset what was added to its class after it was written, so its content stays what it was.
    """

    # A default counts as what is read of it, e.g. 0 as 0.0.
    model_config = ConfigDict(frozen=True, extra="ignore", validate_default=True)
    described: ClassVar[frozenset[str]] = frozenset()
    """Fields that describe how the result came about, or what follows from the rest, and are no part of its content."""

    def model_post_init(self, context: object, /) -> None:
        """Sets every field, unless this is read from storage."""
        if context is not FROM_STORAGE:
            self.model_fields_set.update(type(self).model_fields)
