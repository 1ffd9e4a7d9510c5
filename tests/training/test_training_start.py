"""What a training starts from: another model, all of it or its encoder; and which part of it learns, how fast."""

from __future__ import annotations

import pytest
import torch
from builders.tinytraining import NETWORK, TRAINING, tiny_learner

from siamese.errors import SiameseError
from siamese.learning.transfer import take_over
from siamese.manifests import PairSet
from siamese.model import build_network
from siamese.model.weights import deserialize
from siamese.pairs import PairReader
from siamese.params import NetworkParams, TrainingParams
from siamese.store import ObjectStore
from siamese.training import plan_training, train
from siamese.training.crops import CropSource
from siamese.training.start import first_network


def changed(**changes: object) -> TrainingParams:
    return TrainingParams.model_validate(TRAINING.model_dump() | changes)


def test_a_training_goes_on_from_a_parent_of_another_shape_but_the_same_encoder(
    store: ObjectStore, pairs: PairSet
) -> None:
    params = changed(epochs=1)
    parent = train(pairs, NETWORK, params, store)
    wider = NETWORK.model_copy(update={"decoder_channels": (16, 16, 8, 12)})
    network, start = first_network(wider, 5, store, parent)
    random, _ = first_network(wider, 5, store, None)
    assert start == f"checkpoint {parent.digest}"
    theirs, ours = deserialize(parent.weights.read(store), "x"), network.state_dict()
    fitting = {name for name, tensor in ours.items() if theirs[name].shape == tensor.shape}
    assert all(torch.equal(ours[name], theirs[name]) for name in fitting)
    assert {name for name in ours if name.startswith("encoder.")} <= fitting
    others = ours.keys() - fitting
    assert others
    assert all(torch.equal(ours[name], random.state_dict()[name]) for name in others)
    child = train(pairs, NETWORK, params, store, parent=parent)
    assert child.start == start
    assert child.origin.sources == {"pairs": pairs.digest, "parent": parent.digest}
    assert child.digest == plan_training(pairs, NETWORK, params, parent).digest != parent.digest
    assert child.weights.sha256 != parent.weights.sha256
    losses = [float(one.curves.read(store).decode().splitlines()[1].split(",")[3]) for one in (parent, child)]
    assert losses[1] < losses[0]
    unlike = NETWORK.model_copy(update={"encoder": "test_resnet"})
    with pytest.raises(SiameseError, match=r"encoder is test_efficientnet, .* is test_resnet"):
        train(pairs, unlike, params, store, parent=parent)


def test_an_encoder_alone_can_be_taken_over() -> None:
    one, two = build_network(NETWORK), build_network(NETWORK)
    given = one.encoder.state_dict()
    assert set(take_over(two.encoder, given, "x")) == set(given)
    assert all(torch.equal(tensor, given[name]) for name, tensor in two.encoder.state_dict().items())
    with pytest.raises(SiameseError, match="has no tensor that fits"):
        take_over(two, given, "x")


def test_shallower_scales_learn_slower() -> None:
    params = changed(frozen_scales=0, layer_decay=0.5, learning_rate=0.01, encoder_rate=0.1)
    trainer = tiny_learner(build_network(NETWORK), params)
    rate = {id(one): group["lr"] for group in trainer.optimizer.param_groups for one in group["params"]}
    encoder = trainer.network.encoder
    seen: set[int] = set()
    for scale in range(1, len(encoder.channels) + 1):
        mine = {id(one) for module in encoder.shallow(scale) for one in module.parameters()} - seen
        seen |= mine
        expected = 0.001 * 0.5 ** (len(encoder.channels) - scale)
        assert mine
        assert [rate[one] for one in mine] == pytest.approx([expected] * len(mine))
    others = {id(one) for one in trainer.network.parameters()} - seen
    assert {rate[one] for one in others} == {0.01}


def test_the_whole_encoder_can_be_frozen_and_no_more(store: ObjectStore, pairs: PairSet) -> None:
    network = build_network(NETWORK)
    scales = len(network.encoder.channels)
    first = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    params = changed(frozen_scales=scales)
    trainer = tiny_learner(network, params)
    trainer.step(CropSource(PairReader(store, pairs, cache=None), params).batch(0), 0.5)
    later = trainer.network.state_dict()
    changed_names = {name for name in first if not torch.equal(first[name], later[name])}
    assert changed_names
    assert not any(name.startswith("encoder.") for name in changed_names)
    with pytest.raises(SiameseError, match=f"give at most {scales}"):
        tiny_learner(build_network(NETWORK), changed(frozen_scales=scales + 1))


def test_a_vgg16_is_frozen_as_a_whole() -> None:
    network = build_network(NetworkParams(encoder="vgg16", pretrained=False, decoder_channels=(8,)))
    trainer = tiny_learner(network, changed(frozen_scales=len(network.encoder.channels)))
    assert not any(one.requires_grad for one in trainer.network.encoder.parameters())
    assert any(one.requires_grad for one in trainer.network.parameters())
