"""Pointers: the few small mutable objects, changed by compare-and-set so that no update is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from siamese.errors import SiameseError
from siamese.store.objects import ObjectStore, RaceLostError
from siamese.store.uri import S3Uri

_TRIES = 20


def read_pointer(store: ObjectStore, uri: S3Uri) -> dict[str, Any] | None:
    """Returns the current value of a pointer; None when it has never been set."""
    if store.head(uri) is None:
        return None
    value: dict[str, Any] = json.loads(store.get(uri))
    return value


def move_pointer(
    store: ObjectStore, uri: S3Uri, change: Callable[[dict[str, Any] | None], dict[str, Any] | None]
) -> dict[str, Any] | None:
    """Changes a pointer without losing concurrent changes.

    Args:
        store: Holds the pointer.
        uri: Address of the pointer.
        change: Maps the current value to the new one; None leaves the pointer as it is. May be called repeatedly.

    Returns:
        The value of the pointer afterwards.
    """
    for _ in range(_TRIES):
        info = store.head(uri)
        old = json.loads(store.get(uri, version_id=info.version_id)) if info else None
        new = change(old)
        if new is None or new == old:
            return old
        try:
            store.put(
                uri,
                json.dumps(new).encode(),
                if_absent=info is None,
                if_match=info.etag if info else None,
                content_type="application/json",
            )
        except RaceLostError:
            continue
        return new
    raise SiameseError(f"changed by others {_TRIES} times in a row", where=str(uri), fix="try again")
