"""Localization first: what is learned when, what the damage network starts from, and where a resumed training lands."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders.tinytraining import NETWORK, TRAINING, tiny_learner, tiny_pairs

from siamese.errors import SiameseError
from siamese.learning.learner import Learner
from siamese.model import build_network
from siamese.pairs import PairReader
from siamese.params import TrainingParams
from siamese.store import ObjectStore
from siamese.training import train
from siamese.training.crops import CropSource
from siamese.training.objective import DamageObjective
from siamese.training.stages import stage_of

ALIKE = NETWORK.model_copy(update={"decoder_channels": (16, 8, 8, 8)})


def changed(**changes: object) -> TrainingParams:
    return TrainingParams.model_validate(TRAINING.model_dump() | {"frozen_scales": 0} | changes)


def test_first_buildings_are_learned_on_pre_images_alone_then_damage_from_there(store: ObjectStore) -> None:
    params = changed(localization_share=0.5)
    torch.manual_seed(0)
    trainer = tiny_learner(build_network(ALIKE), params)
    source = CropSource(PairReader(store, tiny_pairs(store), cache=None), params)
    first = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    batch = source.batch(0)
    with_other_post = batch._replace(post=255 - batch.post)
    loss = trainer.step(batch, 0.2)
    twin = tiny_learner(build_network(ALIKE), params)
    twin.network.load_state_dict(first)
    assert twin.step(with_other_post, 0.2) == loss
    later = trainer.network.state_dict()
    moved = {name.split(".")[0] for name in first if not torch.equal(first[name], later[name])}
    assert moved == {"encoder", "localization_decoder", "localization_head"}
    buildings = {name: tensor.clone() for name, tensor in trainer.network.localization_decoder.state_dict().items()}
    trainer._peaks = [0.0] * len(trainer._peaks)
    trainer.step(batch, 0.5)
    weights = dict(trainer.network.damage_decoder.named_parameters())
    assert weights.keys() <= buildings.keys()
    assert all(torch.equal(weights[name], buildings[name]) for name in weights)
    averaged = dict(trainer.average.localization_decoder.named_parameters())
    assert all(torch.equal(averaged[name], one) for name, one in trainer.average.damage_decoder.named_parameters())
    trained = trainer.network.damage_decoder.steps[0].join[0].weight
    with torch.no_grad():
        trained.add_(1)
    trainer.step(batch, 0.6)
    assert not torch.equal(trained, buildings["steps.0.join.0.weight"])


def test_the_rate_rises_again_at_the_switch() -> None:
    params = changed(localization_share=0.4, warmup_share=0.1)
    rates = [DamageObjective(params).rate_at(share) for share in np.linspace(0, 1, 1001)]
    assert rates[40] == pytest.approx(1)
    assert rates[399] < 0.02
    assert rates[400] < 0.02
    assert rates[460] == pytest.approx(1)
    assert min(rates) > 0
    plain = changed(warmup_share=0.1)
    assert DamageObjective(plain).rate_at(0.1) == 1


@pytest.mark.parametrize("cut", [2, 6])
def test_a_training_cut_in_either_stage_goes_on_as_if_never_cut(
    cut: int, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, params = tiny_pairs(store, scenes=4), changed(epochs=4, localization_share=0.5, checkpoint_seconds=1e-6)
    stages: list[str] = []
    step = Learner.step

    def watched(self: Learner, *given: object) -> dict[str, float]:
        if len(stages) == cut:
            raise SiameseError("cut off for the test")
        loss = step(self, *given)  # type: ignore[arg-type]
        stages.append(stage_of(self.share, params))
        return loss

    monkeypatch.setattr(Learner, "step", watched)
    with pytest.raises(SiameseError, match="cut off"):
        train(pairs, ALIKE, params, store)
    stages.append("cut")
    resumed = train(pairs, ALIKE, params, store)
    stages.remove("cut")
    assert len(set(stages)) == 2
    assert stages == sorted(stages, reverse=True)
    monkeypatch.undo()
    store.erase(type(resumed).folder(store, resumed.digest))
    whole = train(pairs, ALIKE, params, store)
    assert whole.best_epoch > 2
    assert resumed.weights.sha256 == whole.weights.sha256


def test_a_network_without_a_decoder_of_its_own_for_buildings_is_refused() -> None:
    fused = build_network(NETWORK.model_copy(update={"localization": "fused"}))
    with pytest.raises(SiameseError, match=r"training\.localization_share: .*network\.localization=pre"):
        tiny_learner(fused, changed(localization_share=0.5))
