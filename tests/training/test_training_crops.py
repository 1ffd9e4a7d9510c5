"""Which crops a step shows, and what the network is told of them."""

from __future__ import annotations

import pytest
import torch
from tinytraining import NETWORK, TRAINING, tiny_pairs

from siamese.classes import disaster_number
from siamese.model import build_network
from siamese.pairs import PairReader
from siamese.params import TrainingParams
from siamese.store import ObjectStore
from siamese.training.crops import CropSource
from siamese.training.trainer import Trainer


@pytest.fixture
def reader(store: ObjectStore) -> PairReader:
    return PairReader(store, tiny_pairs(store), cache=None)


def changed(**changes: object) -> TrainingParams:
    return TrainingParams.model_validate(TRAINING.model_dump() | changes)


def test_disaster_types_reach_the_network_and_are_kept_from_it_now_and_then(
    reader: PairReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    quake = disaster_number("earthquake")
    half = CropSource(reader, changed(batch=40, crop_px=32, unknown_disaster=0.5))
    told = half.batch(0).disaster
    assert set(told.tolist()) == {0, quake}
    assert torch.equal(told, half.batch(0).disaster)
    assert 8 < int((told == 0).sum()) < 32
    always = CropSource(reader, changed(batch=40, crop_px=32, unknown_disaster=0.0)).batch(0)
    assert set(always.disaster.tolist()) == {quake}
    assert torch.equal(always.pre, half.batch(0).pre)
    network, seen = build_network(NETWORK), []
    forward = type(network).forward

    def looking(self: torch.nn.Module, *given: torch.Tensor) -> object:
        seen.append(given[2])
        return forward(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(type(network), "forward", looking)
    batch = CropSource(reader, changed(unknown_disaster=0.0)).batch(0)
    Trainer(network, TRAINING, torch.device("cpu")).step(batch, 0.5)
    assert seen[0].tolist() == [quake, quake]
