"""Reads, lists and writes objects on any S3 endpoint, including conditional writes."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, PartialCredentialsError

from siamese.errors import SiameseError
from siamese.settings import Settings, effective_environment
from siamese.store.faults import ABSENT, LOST_RACE, STORAGE_ERRORS, error_code, lacks_body, translated
from siamese.store.probe import ConditionalWrites
from siamese.store.uri import S3Uri

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SHA256 = "sha256"
_CLIENT = Config(
    retries={"mode": "standard", "max_attempts": 8},
    max_pool_connections=64,
    connect_timeout=10,
    read_timeout=120,
    s3={"addressing_style": "path"},
)
_IMPATIENT = Config(retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=5, read_timeout=5)
_BODY_TRIES = 4
_TRANSFER = TransferConfig(multipart_threshold=32 * 2**20, multipart_chunksize=16 * 2**20, max_concurrency=8)


@dataclass(frozen=True)
class ObjectInfo:
    """Metadata of one object, without its bytes."""

    uri: S3Uri
    size: int
    etag: str
    version_id: str | None = None
    sha256: str | None = None
    modified: datetime | None = None
    """When it was written; known from listings."""


class RaceLostError(SiameseError):
    """Raised when a conditional write finds that another writer came first."""


class ObjectStore:
    """An S3 endpoint, configured by the usual AWS settings or else the local stack's. Thread-safe.

    Args:
        settings: Names of the buckets and the local stack's folder; by default read from the process's environment.
        environment: Source of AWS settings; by default the process's environment, which is never changed.
        patient: Whether a failed request is tried again, for about a minute; otherwise it fails within seconds.
    """

    def __init__(
        self, settings: Settings | None = None, environment: Mapping[str, str] | None = None, *, patient: bool = True
    ) -> None:
        self._patient = patient
        self.settings = settings or Settings()
        self.environment = effective_environment(self.settings, os.environ if environment is None else environment)

    @cached_property
    def client(self) -> S3Client:
        """The boto3 client, created on first use."""
        given = self.environment
        missing = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if not given.get(name)]
        if len(missing) == 1 and not given.get("AWS_PROFILE"):
            # Given only one of them, boto3 itself would send unsigned requests.
            raise PartialCredentialsError(provider="environment", cred_var=missing[0])
        session = boto3.session.Session(
            aws_access_key_id=given.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=given.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=given.get("AWS_SESSION_TOKEN"),
            region_name=given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION"),
            profile_name=given.get("AWS_PROFILE"),
        )
        endpoint = given.get("AWS_ENDPOINT_URL_S3") or given.get("AWS_ENDPOINT_URL")
        config = _CLIENT if self._patient else _CLIENT.merge(_IMPATIENT)
        client = session.client("s3", config=config, endpoint_url=endpoint)
        client.meta.events.register_first("needs-retry.s3.HeadBucket", _ask_once_for_the_region)
        return client

    @cached_property
    def conditional_writes(self) -> ConditionalWrites:
        """Checker for conditional writes, used before any work begins whose result is to be published."""
        return ConditionalWrites(lambda: self.client)

    @property
    def lake(self) -> S3Uri:
        """Root of manifests and the objects they refer to."""
        return S3Uri(self.settings.lake_bucket)

    @property
    def raw(self) -> S3Uri:
        """Root of raw input."""
        return S3Uri(self.settings.raw_bucket)

    @property
    def maps(self) -> S3Uri:
        """Root of published maps."""
        return S3Uri(self.settings.maps_bucket)

    def head(self, uri: S3Uri, version_id: str | None = None) -> ObjectInfo | None:
        """Returns the metadata of an object; None when it does not exist."""
        try:
            found = self.client.head_object(**_address(uri, version_id))
        except STORAGE_ERRORS as error:
            if error_code(error) in ABSENT:
                return None
            raise self._explained(error, uri, version_id) from error
        return ObjectInfo(
            uri, found["ContentLength"], found["ETag"], found.get("VersionId"), found["Metadata"].get(_SHA256)
        )

    def check_bucket(self, uri: S3Uri) -> None:
        """Checks that the bucket exists; some servers would create it at the first write, whatever its name.

        Raises:
            SiameseError: The bucket does not exist.
        """
        try:
            self.client.head_bucket(Bucket=uri.bucket)
        except STORAGE_ERRORS as error:
            if error_code(error) in ABSENT:
                fix = "create it, or run `siamese up`"
                raise SiameseError("there is no such bucket", where=f"s3://{uri.bucket}", fix=fix) from error
            raise self._explained(error, S3Uri(uri.bucket)) from error

    def list(self, prefix: S3Uri) -> Iterator[ObjectInfo]:
        """Yields the current version of every object under a prefix, in key order, fetched page by page."""
        try:
            versioned = self.client.get_paginator("list_object_versions")
            for page in versioned.paginate(Bucket=prefix.bucket, Prefix=prefix.key):
                for found in page.get("Versions", []):
                    if found["IsLatest"]:
                        version = found.get("VersionId")
                        yield ObjectInfo(
                            S3Uri(prefix.bucket, found["Key"]),
                            found["Size"],
                            found["ETag"],
                            None if version == "null" else version,
                            modified=found["LastModified"],
                        )
        except STORAGE_ERRORS as error:
            raise translated(error, prefix) from error

    def get(self, uri: S3Uri, *, version_id: str | None = None, start: int = 0, length: int | None = None) -> bytes:
        """Reads the bytes of an object, or ``length`` bytes of it from ``start``.

        Raises:
            SiameseError: There is no such object, or storage does not answer.
        """
        if length == 0:
            return b""
        for _ in range(_BODY_TRIES - 1):
            try:
                return self._read(uri, version_id, start, length)
            except BotoCoreError:
                continue
        try:
            return self._read(uri, version_id, start, length)
        except BotoCoreError as error:
            raise translated(error, uri) from error

    def open(self, uri: S3Uri, *, version_id: str | None = None, start: int = 0) -> BinaryIO:
        """Opens a forward-only stream of an object's bytes; the caller closes it."""
        stream: BinaryIO = self._body(uri, version_id, start, None)
        return stream

    def put(
        self,
        uri: S3Uri,
        data: bytes,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        content_type: str = "application/octet-stream",
    ) -> ObjectInfo:
        """Writes an object in one request; storage verifies its sha256 on arrival.

        Args:
            uri: Destination.
            data: The bytes.
            if_absent: Write only if there is no such object.
            if_match: Write only over the object with this etag.
            content_type: Media type sent to browsers.

        Raises:
            RaceLostError: The condition did not hold.
            SiameseError: Storage refuses, or would ignore the condition.
        """
        if if_absent or if_match is not None:
            self.conditional_writes.check(uri.bucket)
        digest = hashlib.sha256(data)
        conditions: dict[str, Any] = {"IfNoneMatch": "*"} if if_absent else {}
        if if_match is not None:
            conditions["IfMatch"] = if_match
        try:
            answer = self.client.put_object(
                Bucket=uri.bucket,
                Key=uri.key,
                Body=data,
                ContentType=content_type,
                ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                Metadata={_SHA256: digest.hexdigest()},
                **conditions,
            )
        except STORAGE_ERRORS as error:
            if error_code(error) in LOST_RACE or (if_match is not None and error_code(error) in ABSENT):
                raise RaceLostError("somebody else wrote it first", where=str(uri)) from error
            raise translated(error, uri) from error
        return ObjectInfo(uri, len(data), answer["ETag"], answer.get("VersionId"), digest.hexdigest())

    def upload(
        self,
        path: Path,
        uri: S3Uri,
        *,
        on_bytes: Callable[[int], None] | None = None,
        content_type: str | None = None,
    ) -> ObjectInfo:
        """Uploads a file of any size, in parts when large, with its sha256 as metadata.

        Args:
            path: Local file.
            uri: Destination.
            on_bytes: Called with the number of bytes sent since the last call.
            content_type: Media type; by default that of plain bytes.

        Raises:
            SiameseError: Storage refuses, or what arrived differs in size.
        """
        digest = file_sha256(path)
        extra: dict[str, Any] = {"Metadata": {_SHA256: digest}, "ChecksumAlgorithm": "SHA256"}
        extra |= {"ContentType": content_type} if content_type else {}
        try:
            self.client.upload_file(
                str(path), uri.bucket, uri.key, ExtraArgs=extra, Config=_TRANSFER, Callback=on_bytes
            )
        except STORAGE_ERRORS as error:
            raise translated(error, uri) from error
        arrived = self.head(uri)
        if arrived is None or arrived.size != path.stat().st_size:
            raise SiameseError("did not arrive whole", where=str(uri), fix="upload it again")
        return arrived

    def download(self, uri: S3Uri, path: Path, *, version_id: str | None = None) -> None:
        """Downloads an object to a local file, which appears only once it is complete."""
        partial = path.with_name(f".{path.name}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        extra = {"VersionId": version_id} if version_id else None
        try:
            self.client.download_file(uri.bucket, uri.key, str(partial), ExtraArgs=extra, Config=_TRANSFER)
        except STORAGE_ERRORS as error:
            partial.unlink(missing_ok=True)
            raise self._explained(error, uri, version_id) from error
        partial.replace(path)

    def erase(self, prefix: S3Uri) -> int:
        """Permanently deletes all versions of all objects under a prefix; only for objects that no manifest refers to.

        Args:
            prefix: A folder or an object; never a whole bucket.

        Returns:
            Number of versions that were deleted.

        Raises:
            SiameseError: The prefix is a whole bucket, or storage refuses.
        """
        if not prefix.key:
            raise SiameseError("a whole bucket is never erased", where=str(prefix), fix="name a folder in it")
        erased = 0
        try:
            pages = self.client.get_paginator("list_object_versions").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
            for page in list(pages):
                for found in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                    self.client.delete_object(Bucket=prefix.bucket, Key=found["Key"], VersionId=found["VersionId"])
                    erased += 1
        except STORAGE_ERRORS as error:
            raise translated(error, prefix) from error
        return erased

    def share(self, uri: S3Uri, seconds: int) -> str:
        """Returns a URL that lets anyone read the object for so many seconds (a week at most)."""
        return self.client.generate_presigned_url(
            "get_object", Params={"Bucket": uri.bucket, "Key": uri.key}, ExpiresIn=seconds
        )

    def _explained(self, error: Exception, uri: S3Uri, version_id: str | None = None) -> SiameseError:
        """Returns the error behind an answer; if it has no body, repeats the request in a form whose answer has one."""
        if lacks_body(error):
            try:
                if uri.key:
                    self.client.get_object(**_address(uri, version_id), Range="bytes=0-0")["Body"].close()
                else:
                    self.client.list_objects_v2(Bucket=uri.bucket, MaxKeys=1)
            except STORAGE_ERRORS as spoken:
                if error_code(spoken) not in {*ABSENT, "InvalidRange"}:
                    error = spoken
        return translated(error, uri)

    def _read(self, uri: S3Uri, version_id: str | None, start: int, length: int | None) -> bytes:
        # The client retries a request by itself, but not an answer that breaks off.
        with self._body(uri, version_id, start, length) as body:
            return bytes(body.read())

    def _body(self, uri: S3Uri, version_id: str | None, start: int, length: int | None) -> Any:  # noqa: ANN401
        address = _address(uri, version_id)
        if start or length is not None:
            end = "" if length is None else start + length - 1
            address["Range"] = f"bytes={start}-{end}"
        try:
            return self.client.get_object(**address)["Body"]
        except STORAGE_ERRORS as error:
            raise translated(error, uri) from error


def file_sha256(path: Path) -> str:
    """Returns the sha256 of a file, read in pieces, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ask_once_for_the_region(
    request_dict: dict[str, Any], response: tuple[Any, dict[str, Any]] | None, **_: object
) -> None:
    """Ends a loop of botocore: on a redirect that names no region it asks HeadBucket, which is redirected in turn.

    A login page in the place of storage answers so.
    """
    if response is None:  # no answer came
        return
    if "x-amz-bucket-region" not in response[1].get("ResponseMetadata", {}).get("HTTPHeaders", {}):
        request_dict["context"].setdefault("s3_redirect", {})["redirected"] = True


def _address(uri: S3Uri, version_id: str | None) -> dict[str, Any]:
    return {"Bucket": uri.bucket, "Key": uri.key} | ({"VersionId": version_id} if version_id else {})
