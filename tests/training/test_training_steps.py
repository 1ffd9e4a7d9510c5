"""What one step does: accumulated parts, number formats, and numbers that are none."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from builders.tinytraining import NETWORK, TRAINING, tiny_learner

from siamese.errors import SiameseError
from siamese.learning import fabric as fabric_module
from siamese.learning.learner import Learner
from siamese.model import NetworkOutput, build_network
from siamese.model.precision import has_bf16
from siamese.params import TrainingParams
from siamese.training import objective as objective_module
from siamese.training.crops import Batch

CPU = torch.device("cpu")


def changed(**changes: object) -> TrainingParams:
    given = {"precision": "fp32", "frozen_scales": 0, "warmup_share": 0.0}
    return TrainingParams.model_validate(TRAINING.model_dump() | given | changes)


def batch(crops: int, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    pre, post = torch.randint(0, 256, (2, crops, 3, 32, 32), generator=draw, dtype=torch.uint8)
    mask = torch.randint(0, 5, (crops, 32, 32), generator=draw, dtype=torch.uint8)
    return Batch(pre, post, mask, torch.zeros(crops, dtype=torch.int64))


def trainer(params: TrainingParams, seed: int = 0) -> Learner:
    torch.manual_seed(seed)
    return tiny_learner(build_network(NETWORK), params)


def weights(one: Learner) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in one.network.state_dict().items()}


def mean_loss(output: NetworkOutput, mask: torch.Tensor, params: TrainingParams) -> torch.Tensor:
    """A loss that is a mean over crops, unlike dice."""
    del params
    return output.localization.square().mean() + (output.damage - mask[:, None] / 4).square().mean()


def test_accumulated_parts_make_the_update_of_one_large_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective_module, "total_loss", mean_loss)
    unlike = batch(6)
    unlike.mask[:] = torch.arange(6, dtype=torch.uint8)[:, None, None] % 5
    found = []
    for params, shown in ((changed(batch=2, accumulate=3), 6), (changed(batch=6), 6), (changed(batch=2), 2)):
        one = trainer(params.model_copy(update={"clip_norm": 1e9}))
        # With statistics of its own, batch norm would tell the parts apart.
        one.frozen = tuple(module for module in one.network.modules() if isinstance(module, torch.nn.BatchNorm2d))
        loss = one.step(Batch(*(tensor[:shown] for tensor in unlike)), 0.0)["loss"]
        gradients = [weight.grad.ravel() for weight in one.network.parameters() if weight.grad is not None]
        found.append((loss, torch.cat(gradients)))
    (parts, ours), (whole, theirs), (first, only_first) = found
    assert parts == pytest.approx(whole, rel=1e-5)
    assert parts != pytest.approx(first, rel=1e-3)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)
    assert (ours - only_first).norm() > 0.05 * ours.norm()


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_part_that_is_no_number_changes_no_weight(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, calls = objective_module.total_loss, []

    def poisoned(*given: object) -> torch.Tensor:
        calls.append(1)
        loss: torch.Tensor = whole(*given)  # type: ignore[arg-type]
        return loss * float("inf") if len(calls) == part + 1 else loss

    one = trainer(changed(batch=2, accumulate=3))
    first = weights(one)
    monkeypatch.setattr(objective_module, "total_loss", poisoned)
    with pytest.raises(SiameseError, match="the loss is"):
        one.step(batch(6), 0.0)
    learned = {name for name, _ in one.network.named_parameters()}
    assert all(torch.equal(one.network.state_dict()[name], first[name]) for name in learned)
    assert one.steps == 0


def test_formats_are_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    forward = torch.nn.Conv2d.forward

    def looking(self: torch.nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
        outcome = forward(self, images)
        seen.append(outcome.dtype)
        return outcome

    monkeypatch.setattr(torch.nn.Conv2d, "forward", looking)
    best = torch.bfloat16 if has_bf16(CPU) else torch.float32
    for precision, expected in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("auto", best)):
        one = trainer(changed(precision=precision))
        seen.clear()
        one.step(batch(2), 0.0)
        assert expected in seen
        assert len(set(seen)) == 1
    with pytest.raises(SiameseError, match=r"training\.precision: a cpu does not train in fp16"):
        trainer(changed(precision="fp16"))


def scaled_by(scale: float, monkeypatch: pytest.MonkeyPatch, **changes: object) -> Learner:
    """A learner in float32 whose gradients are scaled, as those of float16 are on a GPU."""

    class Scaled(fabric_module.Autocast):
        def __init__(self) -> None:
            super().__init__("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=scale))

        def forward_context(self) -> AbstractContextManager[None]:
            return nullcontext()

    with monkeypatch.context() as patch:
        patch.setattr(fabric_module, "precision_of", lambda *_: Scaled())
        return trainer(changed(**changes))


def test_scaled_gradients_make_the_same_step_and_too_large_a_scale_is_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, scaled = trainer(changed()), scaled_by(1024.0, monkeypatch)
    first = weights(scaled)
    for one in (plain, scaled):
        one.step(batch(2), 0.0)
    for name, tensor in plain.network.state_dict().items():
        torch.testing.assert_close(scaled.network.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)
    assert any(not torch.equal(weights(scaled)[name], first[name]) for name in first)
    scaled = scaled_by(3e38, monkeypatch, damage_weight=1000.0)
    before = weights(scaled)
    scaled.step(batch(2), 0.0)
    learned = [name for name, _ in scaled.network.named_parameters()]
    assert all(torch.equal(scaled.network.state_dict()[name], before[name]) for name in learned)
    assert scaled.precision.scaler.get_scale() < 3e38
    again = scaled_by(65536.0, monkeypatch)
    again.restore(scaled.state(), 2)
    assert again.precision.scaler.get_scale() == scaled.precision.scaler.get_scale()
