"""Checks that storage supports conditional writes, on which everything published relies.

Some S3 servers refuse a write with ``If-None-Match`` or ``If-Match``; others, or proxies in front of them, ignore the
header and overwrite. Either is detected before a stage begins, instead of after its work.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Literal

from botocore.exceptions import ClientError

from siamese.errors import SiameseError
from siamese.store.faults import LOST_RACE, STORAGE_ERRORS, error_code, translated
from siamese.store.uri import S3Uri

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3 import S3Client

PROBE: Final = "probe/conditional-writes"
_BODY: Final = b"Written again and again to see that storage refuses it: see siamese/store/probe.py.\n"
_NO_ETAG: Final = '"00000000000000000000000000000000"'
_TRIES: Final = 3
_REFUSALS: Final = {"NotImplemented", "InvalidArgument", "InvalidRequest", "MethodNotAllowed", "400", "405", "501"}
"""Answers of servers that do not know the header. A login, a bucket or a region that is wrong has other codes."""


class ConditionalWrites:
    """Checks each bucket once in the lifetime of a store; thread-safe."""

    def __init__(self, client: Callable[[], S3Client]) -> None:
        """Prepares the checks; sends no request yet.

        Args:
            client: Returns the client; called on first use.
        """
        self._client = client
        self._kept: set[str] = set()
        self._lock = threading.Lock()

    def check(self, bucket: str) -> None:
        """Checks that a bucket refuses a write whose condition does not hold; takes two small requests the first time.

        The probe object stays: as long as it exists, one refused write is proof.

        Raises:
            SiameseError: Storage does not support conditional writes, or cannot be written to at all.
        """
        with self._lock:
            if bucket in self._kept:
                return
            uri = S3Uri(bucket, PROBE)
            self._refuses(uri, "If-None-Match")
            self._refuses(uri, "If-Match")
            self._kept.add(bucket)

    def _refuses(self, uri: S3Uri, header: Literal["If-None-Match", "If-Match"]) -> None:
        for _ in range(_TRIES):
            try:
                self._write(uri, header)
            except STORAGE_ERRORS as error:
                if error_code(error) in LOST_RACE:
                    return
                if error_code(error) in _REFUSALS and isinstance(error, ClientError) and self._takes_plain(uri):
                    raise _lacking(uri, f"a write with {header} is answered with {error_code(error)}") from error
                raise translated(error, uri) from error
            # The very first write succeeds, and so does one after the object was deleted.
        raise _lacking(uri, f"{header} is ignored, and the object overwritten")

    def _write(self, uri: S3Uri, header: Literal["If-None-Match", "If-Match"]) -> None:
        if header == "If-None-Match":
            self._client().put_object(Bucket=uri.bucket, Key=uri.key, Body=_BODY, IfNoneMatch="*")
        else:
            self._client().put_object(Bucket=uri.bucket, Key=uri.key, Body=_BODY, IfMatch=_NO_ETAG)

    def _takes_plain(self, uri: S3Uri) -> bool:
        """Returns whether storage accepts a write without a condition, so that it refuses only the condition."""
        try:
            self._client().put_object(Bucket=uri.bucket, Key=uri.key, Body=_BODY)
        except STORAGE_ERRORS:
            return False
        return True


def _lacking(uri: S3Uri, what: str) -> SiameseError:
    fix = "use an S3 server that has them, or take away the proxy that drops the header"
    return SiameseError(f"storage lacks conditional writes: {what}", where=f"s3://{uri.bucket}", fix=fix)
