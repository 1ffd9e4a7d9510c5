"""Claims: which version a checkpoint has, written once on the bucket."""

from __future__ import annotations

import json
from contextlib import suppress

from siamese.store import ObjectStore, RaceLostError, S3Uri


def claim(model: str, checkpoint: str, version: int, store: ObjectStore) -> int:
    """Claims a version for a checkpoint.

    Returns:
        The version that the checkpoint has from now on: this one, or that of whoever was first.
    """
    data = json.dumps({"model": model, "checkpoint": checkpoint, "version": version}).encode()
    with suppress(RaceLostError):
        store.put(_address(model, checkpoint, store), data, if_absent=True, content_type="application/json")
    return int(json.loads(store.get(_address(model, checkpoint, store)))["version"])


def claimed_version(model: str, checkpoint: str, store: ObjectStore) -> int | None:
    """The version that a checkpoint has; None when it is not registered."""
    address = _address(model, checkpoint, store)
    return int(json.loads(store.get(address))["version"]) if store.head(address) else None


def _address(model: str, checkpoint: str, store: ObjectStore) -> S3Uri:
    return store.lake / "registry-claims" / model / f"{checkpoint}.json"
