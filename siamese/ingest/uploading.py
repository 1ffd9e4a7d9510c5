"""Uploads local scenes or archives to raw storage: in parallel, checksummed and resumable."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from siamese.errors import SiameseError
from siamese.parallel import ordered_map
from siamese.progress import Advance, progress
from siamese.store import ObjectStore, S3Uri, file_sha256
from siamese.store.multipart import PART, upload_resumable

_AHEAD: Final = 4
_MAX_KEY: Final = 1024


class UploadReport(BaseModel):
    """Summary of an upload."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    files: int = Field(description="Files that are now on storage.")
    bytes: int = Field(description="Of these files.")
    skipped: int = Field(description="Files that were there already, by size and sha256.")
    sent_bytes: int = Field(description="Bytes of the files that were not.")


@dataclass(frozen=True)
class _Job:
    path: Path
    uri: S3Uri
    size: int


@dataclass(frozen=True)
class _Done:
    size: int
    skipped: bool


def upload(source: Path, target: S3Uri, store: ObjectStore, *, workers: int = 8) -> UploadReport:
    """Copies a folder, or one file such as an archive, below a prefix.

    A file whose object already has its size and sha256 is not sent again. A large file is sent in parts, and parts
    that an earlier attempt uploaded are not sent again either.

    Args:
        source: Folder or file. Links to files inside the folder are followed.
        target: Prefix; a file goes to ``target/<name>``, a folder's files to ``target/<path within the folder>``.
        store: Object storage to upload to.
        workers: Number of files, or parts of a large file, sent at once.

    Raises:
        SiameseError: There is nothing to upload, a link leaves the folder or leads to a folder, something is not a
            file, or storage fails. Uploaded data stays, and the next attempt resumes from there.
    """
    count, total = 0, 0
    for job in _jobs(source, target):
        count, total = count + 1, total + job.size
    if not count:
        raise SiameseError("holds no files", where=str(source), fix="name a folder with scenes, or an archive")
    store.check_bucket(target)
    skipped = sent = 0
    with progress(f"upload to {target} (bytes)", total) as advance:
        for done in _all(source, target, store, workers, advance):
            skipped += done.skipped
            sent += 0 if done.skipped else done.size
    return UploadReport(target=str(target), files=count, bytes=total, skipped=skipped, sent_bytes=sent)


def _all(source: Path, target: S3Uri, store: ObjectStore, workers: int, advance: Advance) -> Iterator[_Done]:
    def small(job: _Job) -> _Done:
        data = job.path.read_bytes()
        done = _is_there(store, job.uri, len(data), hashlib.sha256(data).hexdigest())
        if not done:
            store.put(job.uri, data)
        advance(len(data), note=job.path.name)
        return _Done(len(data), skipped=done)

    with ThreadPoolExecutor(workers) as pool:
        few = (job for job in _jobs(source, target) if job.size <= PART)
        yield from ordered_map(pool, small, few, ahead=_AHEAD * workers)
    for job in _jobs(source, target):
        if job.size > PART:
            yield _large(store, job, workers, advance)


def _large(store: ObjectStore, job: _Job, workers: int, advance: Advance) -> _Done:
    digest = file_sha256(job.path)
    if _is_there(store, job.uri, job.size, digest):
        advance(job.size, note=job.path.name)
        return _Done(job.size, skipped=True)
    upload_resumable(
        store, job.path, job.uri, digest, workers=workers, on_bytes=lambda count: advance(count, note=job.path.name)
    )
    return _Done(job.size, skipped=False)


def _is_there(store: ObjectStore, uri: S3Uri, size: int, digest: str) -> bool:
    found = store.head(uri)
    return found is not None and (found.size, found.sha256) == (size, digest)


def _jobs(source: Path, target: S3Uri) -> Iterator[_Job]:
    if source.is_file():
        yield _job(source, target, source.name)
    elif source.is_dir():
        root = source.resolve()
        for path in _files(root, root):
            yield _job(path, target, path.relative_to(root).as_posix())
    else:
        raise SiameseError("there is no such folder or file", where=str(source), fix="check the path")


def _job(path: Path, target: S3Uri, name: str) -> _Job:
    uri = target / name
    try:
        fits = len(uri.key.encode()) <= _MAX_KEY
    except UnicodeEncodeError as error:
        raise SiameseError("the name is not UTF-8", where=repr(name), fix="rename the file") from error
    if not fits or "\\" in name or not name.isprintable():
        fix = f"rename the file: printable, without \\, at most {_MAX_KEY} bytes with its prefix"
        raise SiameseError("the name cannot be an object's", where=repr(name), fix=fix)
    return _Job(path, uri, path.stat().st_size)


def _files(folder: Path, root: Path) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise SiameseError(f"cannot be read: {error.strerror}", where=str(folder), fix="check its rights") from error
    for entry in entries:
        path = Path(entry.path)
        if entry.is_symlink():
            _check_link(path, root)
            yield path
        elif entry.is_dir():
            yield from _files(path, root)
        elif entry.is_file():
            yield path
        else:
            raise SiameseError("is neither a file nor a folder", where=str(path), fix="take it out of the folder")


def _check_link(path: Path, root: Path) -> None:
    fix = "take the link out of the folder, or put the file in its place"
    try:
        end = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise SiameseError("is a link that leads nowhere", where=str(path), fix=fix) from error
    if not end.is_relative_to(root):
        raise SiameseError("is a link that leaves the folder", where=str(path), fix=fix)
    if not end.is_file():
        raise SiameseError("is a link to a folder", where=str(path), fix=fix)
