"""A small network on storage, and little scenes as a folder and as a pair set."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.evalscenes import LittleScene, little_scenes
from PIL import Image

from siamese.ingest import ingest
from siamese.manifests import Checkpoint, PairSet
from siamese.model import Decision, Predictor, build_network, put_network
from siamese.pairs import build_pairs
from siamese.params import IngestParams, NetworkParams, PairsParams
from siamese.settings import Settings
from siamese.store import ObjectStore, Origin, put_blob

NETWORK = NetworkParams(encoder="test_resnet", pretrained=False, decoder_channels=(8, 8), localization_channels=(8, 8))


@pytest.fixture(scope="module")
def store(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> ObjectStore:
    """One store for all tests here: what they read is published once."""
    del s3_server
    mark = secrets.token_hex(4)
    names = {f"{use}_bucket": f"{use}-{mark}" for use in ("raw", "lake", "maps")}
    store = ObjectStore(Settings(home=tmp_path_factory.mktemp("home"), **names))
    for name in names.values():
        store.client.create_bucket(Bucket=name)
    return store


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes scenes in xBD's layout."""

    def make(scenes: list[LittleScene], split: str = "") -> Path:
        for scene in scenes:
            for name, data in scene.files(split):
                path = tmp_path / "scenes" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        return tmp_path / "scenes"

    return make


@pytest.fixture(scope="module")
def checkpoint(store: ObjectStore) -> Checkpoint:
    """An untrained network whose threshold lies so that it finds buildings, many of them false, of every class."""
    torch.manual_seed(0)
    network = build_network(NETWORK).eval()
    files = dict(LittleScene("storm_00000001", 1).files())
    pre, post = (
        np.array(Image.open(io.BytesIO(files[f"images/storm_00000001_{date}_disaster.png"])))
        for date in ("pre", "post")
    )
    likely = Predictor(network, Decision()).predict(pre, post)
    threshold = float(np.quantile(likely.building, 0.8))
    found = likely.damage[:, likely.building >= threshold]
    weights = tuple(float(1 / weight) for weight in np.quantile(found, 0.5, axis=1))
    decision = Decision(building=threshold, damaged_building=threshold, class_weights=weights, per_building=False)
    folder = Checkpoint.folder(store, "0" * 16)
    tensors, config = put_network(store, folder, network.state_dict(), NETWORK, decision, "random")
    curves = put_blob(store, folder, "curves.csv", b"epoch\n")
    origin = Origin(digest="0" * 16, inputs={}, params={}, code="0")
    made = Checkpoint(
        origin=origin,
        weights=tensors,
        network=config,
        curves=curves,
        pairs="1" * 16,
        epochs=1,
        best_epoch=1,
        run_id=None,
    )
    return made.publish(store)


@pytest.fixture(scope="module")
def pair_set(store: ObjectStore) -> PairSet:
    """The little scenes, about half of them in split test."""
    for scene in little_scenes():
        for name, data in scene.files():
            store.put(store.raw / "scenes" / name, data)
    catalog = ingest(store.raw / "scenes", IngestParams(), store)
    assert (catalog.accepted, catalog.quarantined) == (7, 0)
    return build_pairs(catalog, PairsParams(split="scene", val_share=0.15, test_share=0.5, block_px=64), store)
