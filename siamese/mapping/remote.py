"""Reads files on the web: documents, ranges of images, and whole images."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

import httpx

from siamese.errors import SiameseError, TransientError
from siamese.store import file_sha256

_TIMEOUT_S: Final = 60.0
_MOST_BYTES: Final = 64 * 2**20
"""Largest document."""
_CHUNK: Final = 1 << 20
_TRIES: Final = 4
_BUSY: Final = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class WebFile:
    """A file on the web, by the state in which it was found."""

    url: str
    size: int
    state: str
    """Entity tag and time of change; empty if the server sends neither."""
    ranges: bool
    """Whether the server gives parts of it."""


def is_web(given: str) -> bool:
    """Whether an address is one of the web."""
    return given.startswith(("https://", "http://"))


def web_name(url: str) -> str:
    """Returns the name of the file that an address leads to."""
    return PurePosixPath(unquote(urlsplit(url).path)).name


def find_web(url: str) -> WebFile:
    """Finds a file without reading it.

    Raises:
        SiameseError: There is no such file.
        TransientError: The server does not answer.
    """
    answer = _ask("GET", url, {"Range": "bytes=0-0", "Accept-Encoding": "identity"})
    ranges = answer.status_code == httpx.codes.PARTIAL_CONTENT
    size = (
        answer.headers.get("content-range", "").rpartition("/")[2] if ranges else answer.headers.get("content-length")
    )
    state = f"{answer.headers.get('etag', '')} {answer.headers.get('last-modified', '')}".strip()
    if not size or not size.isdigit():
        fix = "copy it to a bucket or a folder"
        raise SiameseError("cannot be read: its server does not tell its size", where=url, fix=fix)
    return WebFile(url, int(size), state, ranges)


def web_identity(found: WebFile, folder: Path) -> str:
    """Returns the identity of a file: by its state, or by its bytes if the server sends no state."""
    if found.state:
        return hashlib.sha256(f"{found.url} {found.size} {found.state}".encode()).hexdigest()
    return web_sha256(found, folder)


def web_sha256(found: WebFile, folder: Path) -> str:
    """Returns the sha256 of a file's bytes, which are downloaded once for each state that its server tells.

    Args:
        found: The file.
        folder: Folder for the download, which is removed afterwards.

    Raises:
        SiameseError: It has changed since it was found.
        TransientError: The server does not answer.
    """
    return _sha256_of_state(found, folder) if found.state else _sha256(found, folder)


@lru_cache(maxsize=16)
def _sha256_of_state(found: WebFile, folder: Path) -> str:
    return _sha256(found, folder)


def _sha256(found: WebFile, folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="web-", dir=folder) as place:
        path = Path(place) / "file"
        download_web(found, path)
        return file_sha256(path)


def read_web(url: str) -> bytes:
    """Returns a whole document.

    Raises:
        SiameseError: There is no such document, or it is too large for one.
        TransientError: The server does not answer.
    """
    data = _ask("GET", url, {}).content
    if len(data) > _MOST_BYTES:
        raise SiameseError("is too large for a document", where=url, fix="check the address")
    return data


def web_ranges(found: WebFile) -> Callable[[int, int], bytes]:
    """Returns a function that reads ``length`` bytes of a file from ``start``."""

    def fetch(start: int, length: int) -> bytes:
        if not found.ranges:
            return _ask("GET", found.url, {}).content[start : start + length]
        return _ask("GET", found.url, {"Range": f"bytes={start}-{start + length - 1}"}).content

    return fetch


def download_web(found: WebFile, path: Path) -> None:
    """Copies a file to local disk, piece by piece and never more bytes than were found.

    Raises:
        SiameseError: It has changed since it was found.
        TransientError: The server does not answer.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with httpx.stream(
            "GET", found.url, headers={"Accept-Encoding": "identity"}, timeout=_TIMEOUT_S, follow_redirects=True
        ) as answer:
            _check(answer, found.url)
            with path.open("wb") as out:
                for chunk in answer.iter_bytes(_CHUNK):
                    out.write(chunk)
                    if out.tell() > found.size:
                        break
    except httpx.HTTPError as error:
        raise _silent(found.url, error) from error
    if path.stat().st_size != found.size:
        raise SiameseError("has changed since it was found", where=found.url, fix="map again")


def _ask(method: str, url: str, headers: dict[str, str]) -> httpx.Response:
    for number in range(_TRIES):
        try:
            with httpx.Client(timeout=_TIMEOUT_S, follow_redirects=True) as client:
                request = client.build_request(method, url, headers=headers)
                answer = client.send(request, stream=True)
                if headers.get("Range") == "bytes=0-0" and answer.status_code == httpx.codes.OK:
                    answer.close()  # The server knows no ranges: the whole file would follow.
                    return answer
                answer.read()
        except httpx.InvalidURL as error:
            raise SiameseError(f"is no address on the web: {error}", where=url, fix="check the address") from error
        except httpx.HTTPError as error:
            if number + 1 == _TRIES:
                raise _silent(url, error) from error
            continue
        if answer.status_code not in _BUSY or number + 1 == _TRIES:
            break
    _check(answer, url)
    return answer


def _check(answer: httpx.Response, url: str) -> None:
    if answer.status_code in _BUSY:
        raise TransientError(f"its server is busy ({answer.status_code})", where=url, fix="try again later")
    if answer.status_code >= httpx.codes.BAD_REQUEST:
        fix = "check the address" if answer.status_code == httpx.codes.NOT_FOUND else "check that it is public"
        raise SiameseError(f"cannot be read: the server answers {answer.status_code}", where=url, fix=fix)


def _silent(url: str, error: httpx.HTTPError) -> TransientError:
    why = str(error).splitlines()[0] if str(error) else type(error).__name__
    return TransientError(f"its server does not answer: {why}", where=url, fix="check the address and the network")
