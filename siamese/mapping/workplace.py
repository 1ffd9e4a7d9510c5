"""Local folders that a map is made in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from siamese.store import ObjectStore


@contextmanager
def workplace(store: ObjectStore) -> Iterator[Path]:
    """A folder in the cache that is gone afterwards."""
    store.settings.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="map-", dir=store.settings.cache) as folder:
        yield Path(folder)
