"""A small untrained network on storage."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest
import torch

from siamese.manifests import Checkpoint
from siamese.model import Decision, SiameseUNet, build_network, put_network
from siamese.params import NetworkParams
from siamese.store import ObjectStore, Origin, put_blob

NETWORK = NetworkParams(encoder="test_resnet", pretrained=False, decoder_channels=(8, 8), localization_channels=(8, 8))


@pytest.fixture
def make_checkpoint(store: ObjectStore) -> Callable[..., Checkpoint]:
    """Publishes the network with a threshold of one's own."""

    def make(building: float = 0.5) -> Checkpoint:
        return _publish(store, Decision(building=building, damaged_building=building))

    return make


@pytest.fixture
def checkpoint(make_checkpoint: Callable[..., Checkpoint]) -> Checkpoint:
    """The network as it came."""
    return make_checkpoint()


@pytest.fixture
def network() -> SiameseUNet:
    """The network itself."""
    return untrained()


def untrained() -> SiameseUNet:
    """Always the same network."""
    torch.manual_seed(0)
    return build_network(NETWORK).eval()


def _publish(store: ObjectStore, decision: Decision) -> Checkpoint:
    origin = Origin(digest=secrets.token_hex(8), inputs={}, params={}, code="0")
    folder = Checkpoint.folder(store, origin.digest)
    weights, network = put_network(store, folder, untrained().state_dict(), NETWORK, decision, "random")
    curves = put_blob(store, folder, "curves.csv", b"epoch\n")
    return Checkpoint(
        origin=origin,
        weights=weights,
        network=network,
        curves=curves,
        pairs="1" * 16,
        epochs=1,
        best_epoch=1,
        run_id=None,
    ).publish(store)
