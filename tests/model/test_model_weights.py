"""Weights on storage: what was saved is what is loaded, and nothing else is ever loaded."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch

from siamese.errors import SiameseError
from siamese.manifests import Checkpoint
from siamese.model import Decision, Predictor, build_network, load_network, put_network, read_config
from siamese.model.weights import NetworkConfig, restore, serialize
from siamese.params import NetworkParams
from siamese.store import ObjectStore, put_blob
from siamese.training.stage import CHECKPOINT

PARAMS = NetworkParams(
    encoder="test_efficientnet", pretrained=False, decoder_channels=(8, 8), localization_channels=(8, 8)
)
DECISION = Decision(building=0.4, damaged_building=0.3, class_weights=(1, 2, 1, 1))


def published(store: ObjectStore) -> tuple[Checkpoint, torch.nn.Module]:
    torch.manual_seed(5)
    network = build_network(PARAMS).eval()
    folder = store.lake / "checkpoint" / "x"
    weights, config = put_network(store, folder, network.state_dict(), PARAMS, DECISION, "random")
    origin = CHECKPOINT.plan(inputs={}, params={"network": PARAMS})
    curves = put_blob(store, folder, "curves.csv", b"epoch\n")
    made = Checkpoint(
        origin=origin, weights=weights, network=config, curves=curves, pairs="p", epochs=1, best_epoch=1, run_id=None
    )
    return made.publish(store), network


def test_a_network_comes_back_bit_for_bit_with_its_decision(store: ObjectStore) -> None:
    checkpoint, network = published(store)
    loaded, config = load_network(store, checkpoint)
    assert (config.network, config.decision, config.start) == (PARAMS, DECISION, "random")
    ours, theirs = network.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not loaded.training
    again, _ = put_network(store, store.lake / "other", loaded.state_dict(), PARAMS, DECISION, "random")
    assert again.sha256 == checkpoint.weights.sha256 == config.weights_sha256


def test_the_predictor_takes_any_size_and_gives_probabilities(store: ObjectStore) -> None:
    checkpoint, _ = published(store)
    predictor = Predictor.load(store, checkpoint)
    assert predictor.decision == DECISION
    for height, width in ((64, 64), (33, 70), (1, 5)):
        pre, post = np.random.default_rng(1).integers(0, 256, (2, height, width, 3), np.uint8)
        prediction = predictor.predict(pre, post)
        assert prediction.building.shape == (height, width)
        assert prediction.damage.shape == (4, height, width)
        assert prediction.building.dtype == prediction.damage.dtype == np.float32
        assert 0 <= prediction.building.min() <= prediction.building.max() <= 1
        assert np.allclose(prediction.damage.sum(0), 1, atol=1e-5)
        again = predictor.predict(pre, post)
        assert np.array_equal(again.damage, prediction.damage)
    with pytest.raises(SiameseError, match="post image: is uint8"):
        predictor.predict(pre, post[..., :1])
    with pytest.raises(SiameseError, match="not two"):
        predictor.predict(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8))


def _tampered(change: str) -> tuple[bytes, NetworkConfig]:
    tensors = dict(build_network(PARAMS).state_dict())
    name = "damage_head.final.weight"
    match change:
        case "missing":
            del tensors[name]
        case "extra":
            tensors["stranger"] = torch.zeros(1)
        case "shape":
            tensors[name] = tensors[name][:, :2]
        case "kind":
            tensors[name] = tensors[name].half()
        case "nan":
            tensors[name] = tensors[name] * float("nan")
    data = b"\x80\x04junk" if change == "pickle" else serialize(tensors)
    data = data[:-100] if change == "cut" else data
    sha256 = hashlib.sha256(data).hexdigest()
    return data, NetworkConfig(network=PARAMS, decision=DECISION, start="random", weights_sha256=sha256)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", "damage_head.final.weight is missing from the weights"),
        ("extra", "stranger is no part of the network"),
        ("shape", r"damage_head.final.weight is \(1, 2, "),
        ("kind", "torch.float16"),
        ("nan", "holds a NaN"),
        ("pickle", "not safetensors"),
        ("cut", "not safetensors"),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_one_line(change: str, message: str) -> None:
    data, config = _tampered(change)
    with pytest.raises(SiameseError, match=message) as caught:
        restore(data, config, "s3://lake/weights")
    assert "\n" not in str(caught.value)
    assert "s3://lake/weights" in str(caught.value)


def test_weights_other_than_the_registered_ones_are_refused(store: ObjectStore) -> None:
    checkpoint, network = published(store)
    config = read_config(checkpoint.network.read(store), "x")
    with torch.no_grad():
        next(network.parameters()).add_(1)
    with pytest.raises(SiameseError, match="differ from the registered sha256"):
        restore(serialize(network.state_dict()), config, "x")


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"network": {"encoder": "x", "surprise": 1}}, {"weights_sha256": "../"}, {"start": None}]
)
def test_a_config_that_is_not_ours_is_refused(change: dict[str, object]) -> None:
    whole = json.loads(_tampered("none")[1].model_dump_json())
    assert read_config(json.dumps(whole).encode(), "x").network == PARAMS
    with pytest.raises(SiameseError, match="not a network config of this version"):
        read_config(json.dumps(whole | change).encode(), "x")
    with pytest.raises(SiameseError, match="not a network config"):
        read_config(b"\x80\x04", "x")
