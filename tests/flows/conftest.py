"""A Prefect server of the tests' own, and a champion on the store, for flows that run in the tests' process."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from prefect.testing.utilities import prefect_test_harness

from siamese.manifests import Checkpoint
from siamese.model import Decision, build_network, put_network
from siamese.params import NetworkParams
from siamese.registry import LedgerEntry, RegisteredModel, read_ledger
from siamese.registry.claims import claim
from siamese.registry.ledger import append
from siamese.store import ObjectStore, put_blob
from siamese.training.stage import CHECKPOINT

NETWORK = NetworkParams(encoder="test_resnet", pretrained=False, decoder_channels=(8, 8), localization_channels=(8, 8))
MODEL = "siamese-damage"


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


@pytest.fixture
def crown(store: ObjectStore) -> Callable[[int], Checkpoint]:
    """Publishes an untrained network and makes it champion under a version."""

    def make(version: int) -> Checkpoint:
        checkpoint = _publish(store, seed=version)
        named = RegisteredModel(version=version, checkpoint=checkpoint.digest, weights_sha256=checkpoint.weights.sha256)
        ledger = read_ledger(store, MODEL)
        claim(MODEL, checkpoint.digest, version, store)
        entry = LedgerEntry(
            sequence=ledger.sequence + 1, kind="promote", model=MODEL, candidate=named,
            champion_before=ledger.champion, champion_after=named, comparison=None, reasons=(),
            revision="tests", who="tests",
        )  # fmt: skip
        append(store, entry)
        return checkpoint

    return make


def _publish(store: ObjectStore, seed: int) -> Checkpoint:
    origin = CHECKPOINT.plan(inputs={"seed": secrets.token_hex(8)}, params={})
    folder = Checkpoint.folder(store, origin.digest)
    torch.manual_seed(seed)
    states = build_network(NETWORK).eval().state_dict()
    weights, network = put_network(store, folder, states, NETWORK, Decision(), "random")
    curves = put_blob(store, folder, "curves.csv", b"epoch\n")
    return Checkpoint(
        origin=origin, weights=weights, network=network, curves=curves,
        pairs="1" * 16, epochs=1, best_epoch=1, run_id=None,
    ).publish(store)  # fmt: skip
