"""Which crops a step shows, and what the network is told of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders.tinytraining import NETWORK, TRAINING, tiny_learner, tiny_pairs

from siamese.classes import disaster_number
from siamese.errors import SiameseError
from siamese.model import build_network
from siamese.pairs import PairReader
from siamese.params import TrainingParams
from siamese.store import ObjectStore
from siamese.training.augment import dilated
from siamese.training.crops import CropSource


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
    tiny_learner(network, TRAINING).step(batch, 0.5)
    assert seen[0].tolist() == [quake, quake]


def test_dilation_grows_buildings_into_background_alone() -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[4:8, 4:8], mask[4:8, 9:12], mask[12:15, 12:15], mask[12:15, 3:5] = 1, 4, 255, 2
    grown = dilated(mask, 2)
    assert np.array_equal(dilated(mask, 0), mask)
    assert np.array_equal(grown[mask > 0], mask[mask > 0])
    assert (grown[2:10, 2:7] == np.where(mask[2:10, 2:7], mask[2:10, 2:7], 1)).all()
    assert (grown[4:8, 8] == 4).all()
    assert (grown[10:17, 10:17] == 255).all()
    assert not grown[:2].any()
    assert not grown[17:].any()
    assert (grown[10:17, 1:7] == 2).all()


def test_masks_are_dilated_where_the_params_say_so(reader: PairReader) -> None:
    plain, grown = (CropSource(reader, changed(dilate_px=px)).batch(0) for px in (0, 2))
    assert torch.equal(plain.pre, grown.pre)
    assert all(
        np.array_equal(dilated(one, 2), two) for one, two in zip(plain.mask.numpy(), grown.mask.numpy(), strict=True)
    )
    assert (grown.mask > 0).sum() > (plain.mask > 0).sum()


def test_other_bands_than_the_network_takes_are_refused_by_name(store: ObjectStore) -> None:
    mixed = PairReader(store, tiny_pairs(store, scenes=3, bands=(3, 1)), cache=None)
    with pytest.raises(SiameseError, match=r"quake_0000000\d: has bands 3 before and 1 after; .* takes 3 and 3"):
        CropSource(mixed, changed())
    batch = CropSource(mixed, changed(zoom=0.3), bands=(3, 1)).batch(0)
    assert batch.pre.shape == (2, 3, 64, 64)
    assert batch.post.shape == (2, 1, 64, 64)
