"""Addresses on object storage."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from siamese.errors import SiameseError

_PATTERN = re.compile(r"^s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<key>.*))?$", re.DOTALL)


@dataclass(frozen=True, order=True)
class S3Uri:
    """An address ``s3://bucket/key``; the key may be a prefix or empty."""

    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parses ``s3://bucket/key``.

        Raises:
            SiameseError: The text is not such an address.
        """
        match = _PATTERN.match(text)
        if match is None:
            raise SiameseError("not an S3 address", where=repr(text), fix="write it as s3://bucket/key")
        return cls(match["bucket"], match["key"] or "")

    def __truediv__(self, name: str) -> S3Uri:
        return S3Uri(self.bucket, f"{self.key.rstrip('/')}/{name}".lstrip("/"))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rstrip("/").rsplit("/", 1)[-1]
