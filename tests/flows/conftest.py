"""A Prefect server of the tests' own, and a champion on the store, for flows that run in the tests' process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from builders.champions import crown
from prefect.testing.utilities import prefect_test_harness

from siamese.manifests import Checkpoint
from siamese.store import ObjectStore


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture
def worker(store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A worker's folder with a params file; this process works on the store's buckets."""
    for name in ("raw", "lake", "maps"):
        monkeypatch.setenv(f"SIAMESE_{name.upper()}_BUCKET", getattr(store.settings, f"{name}_bucket"))
    monkeypatch.setenv("SIAMESE_HOME", str(store.settings.home))
    monkeypatch.setenv("SIAMESE_BACKEND", "torch")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(f"ingest: {{source: {store.raw / 'tiny'}}}\nmapping: {{picture_px: 256}}\n")
    return tmp_path


@pytest.fixture(name="crown")
def _crown(store: ObjectStore) -> Callable[[int], Checkpoint]:
    """Publishes an untrained network and makes it champion under a version."""
    return lambda version: crown(store, version)
