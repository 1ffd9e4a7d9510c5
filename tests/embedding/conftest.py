"""A small untrained network on storage, and maps of made-up pairs."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from builders.made_rasters import SMALL, Colours, pair, write

from siamese.manifests import Checkpoint, DamageMap
from siamese.mapping import map_pair
from siamese.model import Decision, SiameseUNet, build_network, put_network
from siamese.params import MappingParams, NetworkParams
from siamese.store import ObjectStore, Origin, put_blob

NETWORK = NetworkParams(encoder="test_resnet", pretrained=False, decoder_channels=(8, 8), localization_channels=(8, 8))
BUILDINGS = (
    (8, 8, 30, 24, 0), (20, 120, 20, 20, 1), (60, 180, 26, 30, 2), (86, 84, 22, 26, 3), (150, 30, 20, 40, 3),
    (180, 180, 30, 30, 0), (222, 90, 20, 24, 2),
)  # fmt: skip
"""Row, column, height, width and damage class."""


@pytest.fixture
def make_checkpoint(store: ObjectStore) -> Callable[[int], Checkpoint]:
    """Publishes the network with weights of a seed."""

    def make(seed: int = 0) -> Checkpoint:
        origin = Origin(digest=secrets.token_hex(8), inputs={}, params={}, code="0")
        folder = Checkpoint.folder(store, origin.digest)
        weights, network = put_network(store, folder, untrained(seed).state_dict(), NETWORK, Decision(), "random")
        curves = put_blob(store, folder, "curves.csv", b"epoch\n")
        return Checkpoint(
            origin=origin, weights=weights, network=network, curves=curves,
            pairs="1" * 16, epochs=1, best_epoch=1, run_id=None,
        ).publish(store)  # fmt: skip

    return make


@pytest.fixture
def checkpoint(make_checkpoint: Callable[[int], Checkpoint]) -> Checkpoint:
    """The network with seed 0."""
    return make_checkpoint(0)


def untrained(seed: int = 0) -> SiameseUNet:
    """The network of a seed."""
    torch.manual_seed(seed)
    return build_network(NETWORK).eval()


@pytest.fixture
def images(tmp_path: Path) -> tuple[str, str]:
    """A georeferenced pair of 256 x 256 with seven buildings."""
    pre, post = pair(256, 256, *BUILDINGS)
    return str(write(tmp_path / "storm_pre.tif", pre)), str(write(tmp_path / "storm_post.tif", post))


@pytest.fixture
def make_map(store: ObjectStore, checkpoint: Checkpoint, images: tuple[str, str]) -> Callable[..., DamageMap]:
    """Maps the pair, with a predictor that knows its buildings by colour."""

    def make(params: MappingParams = SMALL, event: str = "storm") -> DamageMap:
        return map_pair([images[0]], [images[1]], checkpoint, params, store, predictor=Colours(), event=event)

    return make
