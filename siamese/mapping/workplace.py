"""Local working folders for making a map."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from siamese.store import ObjectStore


@contextmanager
def workplace(store: ObjectStore) -> Iterator[Path]:
    """Yields a temporary folder in the cache, which is removed afterwards."""
    store.settings.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="map-", dir=store.settings.cache) as folder:
        yield Path(folder)
