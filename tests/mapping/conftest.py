"""A small untrained network on storage."""

from __future__ import annotations

import secrets

import pytest
import torch

from siamese.manifests import Checkpoint
from siamese.model import Decision, build_network, put_network
from siamese.params import NetworkParams
from siamese.store import ObjectStore, Origin, put_blob

NETWORK = NetworkParams(encoder="test_resnet", pretrained=False, decoder_channels=(8, 8), localization_channels=(8, 8))


@pytest.fixture
def checkpoint(store: ObjectStore) -> Checkpoint:
    """It calls about half of what it sees a building."""
    torch.manual_seed(0)
    origin = Origin(digest=secrets.token_hex(8), inputs={}, params={}, code="0")
    folder = Checkpoint.folder(store, origin.digest)
    tensors = build_network(NETWORK).state_dict()
    weights, network = put_network(store, folder, tensors, NETWORK, Decision(building=0.5), "random")
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
