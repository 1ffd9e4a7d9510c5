"""Claims: each binds a checkpoint to its version and is written to the bucket exactly once."""

from __future__ import annotations

import json
from contextlib import suppress

from siamese.store import ObjectStore, RaceLostError, S3Uri


def claim(model: str, checkpoint: str, version: int, store: ObjectStore) -> int:
    """Claims a version for a checkpoint.

    Returns:
        The version that the checkpoint has from now on: this one, or the one claimed first.
    """
    data = json.dumps({"model": model, "checkpoint": checkpoint, "version": version}).encode()
    with suppress(RaceLostError):
        store.put(_address(model, checkpoint, store), data, if_absent=True, content_type="application/json")
    return int(json.loads(store.get(_address(model, checkpoint, store)))["version"])


def claimed_version(model: str, checkpoint: str, store: ObjectStore) -> int | None:
    """Returns the version of a checkpoint; None when it is not registered."""
    address = _address(model, checkpoint, store)
    return int(json.loads(store.get(address))["version"]) if store.head(address) else None


def _address(model: str, checkpoint: str, store: ObjectStore) -> S3Uri:
    return store.lake / "registry-claims" / model / f"{checkpoint}.json"
