"""Uploads large files in parts, so that an interrupted upload resumes where it stopped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from siamese.errors import SiameseError
from siamese.store.faults import STORAGE_ERRORS, error_code, translated
from siamese.store.objects import ObjectInfo, ObjectStore
from siamese.store.uri import S3Uri

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, PartTypeDef

PART: Final = 16 * 2**20
_MOST_PARTS: Final = 10_000
_TRIES: Final = 3


def upload_resumable(
    store: ObjectStore,
    path: Path,
    uri: S3Uri,
    sha256: str,
    *,
    workers: int = 4,
    on_bytes: Callable[[int], None] | None = None,
) -> ObjectInfo:
    """Uploads a file in parts; parts that an earlier, interrupted upload left on storage are not sent again.

    Args:
        store: Store to write to.
        path: Local file, not empty.
        uri: Destination.
        sha256: Sha256 of the file; stored as metadata of the object.
        workers: Number of parts sent concurrently.
        on_bytes: Called from several threads with the bytes newly sent, or found on storage, since the last call.

    Raises:
        SiameseError: Storage refuses, the file changed during the upload, or what arrived differs from the file.
    """
    before = path.stat()
    for _ in range(_TRIES):
        try:
            _send(store, path, uri, sha256, workers, on_bytes or (lambda _: None))
        except STORAGE_ERRORS as error:
            # Another process that uploads the same file completed the upload first.
            if error_code(error) != "NoSuchUpload":
                raise translated(error, uri) from error
        arrived = store.head(uri)
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise SiameseError("changed while it was uploaded", where=str(path), fix="upload it again")
        if arrived and (arrived.size, arrived.sha256) == (before.st_size, sha256):
            return arrived
    raise SiameseError("did not arrive whole", where=str(uri), fix="upload it again")


def part_size(size: int) -> int:
    """Returns the part size in bytes for a file size; deterministic, so that parts still fit after a restart."""
    return max(PART, -(-size // _MOST_PARTS))


def _send(
    store: ObjectStore, path: Path, uri: S3Uri, sha256: str, workers: int, on_bytes: Callable[[int], None]
) -> None:
    size = path.stat().st_size
    step = part_size(size)
    upload_id, there = _begun(store, uri, sha256)

    def part(number: int) -> CompletedPartTypeDef:
        with path.open("rb") as file:
            file.seek((number - 1) * step)
            data = file.read(step)
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        etag = _etag_if_there(there.get(number), data, checksum)
        if etag is None:
            etag = store.client.upload_part(
                Bucket=uri.bucket,
                Key=uri.key,
                UploadId=upload_id,
                PartNumber=number,
                Body=data,
                ChecksumSHA256=checksum,
            )["ETag"]
        on_bytes(len(data))
        return {"PartNumber": number, "ETag": etag, "ChecksumSHA256": checksum}

    with ThreadPoolExecutor(workers) as pool:
        parts = list(pool.map(part, range(1, -(-size // step) + 1)))
    store.client.complete_multipart_upload(
        Bucket=uri.bucket, Key=uri.key, UploadId=upload_id, MultipartUpload={"Parts": parts}
    )


def _begun(store: ObjectStore, uri: S3Uri, sha256: str) -> tuple[str, dict[int, PartTypeDef]]:
    """Returns the most recent unfinished upload of this object with its parts, else begins a new one."""
    client = store.client
    found = client.list_multipart_uploads(Bucket=uri.bucket, Prefix=uri.key).get("Uploads", [])
    same = sorted((one for one in found if one["Key"] == uri.key), key=lambda one: one["Initiated"])
    if same:
        upload_id = same[-1]["UploadId"]
        pages = client.get_paginator("list_parts").paginate(Bucket=uri.bucket, Key=uri.key, UploadId=upload_id)
        return upload_id, {part["PartNumber"]: part for page in pages for part in page.get("Parts", [])}
    begun = client.create_multipart_upload(
        Bucket=uri.bucket, Key=uri.key, Metadata={"sha256": sha256}, ChecksumAlgorithm="SHA256"
    )
    return begun["UploadId"], {}


def _etag_if_there(part: PartTypeDef | None, data: bytes, checksum: str) -> str | None:
    if part is None or part["Size"] != len(data):
        return None
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    same = part.get("ChecksumSHA256") == checksum or part["ETag"].strip('"') == md5
    return part["ETag"] if same else None
