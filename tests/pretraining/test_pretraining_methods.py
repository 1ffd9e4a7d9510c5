"""Each method on tiny tensors: what it teaches, what its teacher does, and how collapse is told."""

from __future__ import annotations

import copy

import pytest
import torch

from siamese.errors import SiameseError
from siamese.learning.fabric import alone
from siamese.learning.learner import Learner
from siamese.model.encoders import Encoder
from siamese.params import PretrainingParams
from siamese.pretraining.byol import Byol
from siamese.pretraining.collapse import effective_rank, spread, warning
from siamese.pretraining.dino import Dino
from siamese.pretraining.method import Method
from siamese.pretraining.methods import build_method
from siamese.pretraining.objective import ViewsObjective
from siamese.pretraining.teacher import momentum_at
from siamese.pretraining.views import Views

METHODS = ("simsiam", "byol", "dino")
ENCODER = "test_efficientnet"


def params(method: str, **changes: object) -> PretrainingParams:
    small = {"hidden_dim": 64, "projection_dim": 32, "prototypes": 32, "local_crops": 2, "batch": 8}
    return PretrainingParams.model_validate({"method": method, "warmup_share": 0.0, **small, **changes})


def built(given: PretrainingParams, encoder: str = ENCODER) -> Method:
    torch.manual_seed(0)
    return build_method(Encoder(encoder), given)


def learner(given: PretrainingParams) -> Learner:
    objective = ViewsObjective(given)
    return Learner(built(given), objective, alone(objective.recipe, torch.device("cpu")))


def views(seed: int = 0, places: int = 8) -> Views:
    """Coarse random pictures, and the same with noise of their own: two large views and two small ones."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (places, 3, 4, 4), generator=generator).float()

    def view(side: int) -> torch.Tensor:
        picture = torch.nn.functional.interpolate(coarse, size=(side, side))
        noise = torch.randint(-20, 21, picture.shape, generator=generator)
        return (picture + noise).clamp(0, 255).to(torch.uint8)

    return view(64), view(64), view(64), view(64)


def as_floats(given: Views) -> list[torch.Tensor]:
    return [view.float() / 255 for view in given]


@pytest.mark.parametrize("encoder", [ENCODER, "test_resnet"])
@pytest.mark.parametrize("method", METHODS)
def test_the_gradient_reaches_every_parameter_that_learns_and_no_other(method: str, encoder: str) -> None:
    taught = built(params(method), encoder).train()
    with torch.no_grad():
        for parameter in taught.encoder.parameters():
            if not parameter.any():  # timm begins some batch norms at 0, which lets no gradient through at first
                parameter.fill_(0.5)
    taught.compare(as_floats(views())).loss.backward()
    for name, parameter in taught.named_parameters():
        if name.startswith(("target_", "teacher_")):
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.any(), name
    assert all(parameter.grad is not None for parameter in taught.encoder.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_falls_and_nothing_collapses(method: str) -> None:
    given = params(method, learning_rate=2e-3, momentum=0.9)
    trainer = learner(given)
    done = [trainer.step(views(number % 4), number / 24) for number in range(24)]
    first, last = (sum(step["loss"] for step in part) / 4 for part in (done[:4], done[-4:]))
    best = {"simsiam": -1.0, "byol": 0.0, "dino": 0.0}[method]
    assert last - best < 0.9 * (first - best)
    assert min(step["spread"] for step in done) > 0.3
    assert min(step["rank"] for step in done) > 3


@pytest.mark.parametrize("method", METHODS)
def test_a_state_restored_goes_on_with_the_same_weights(method: str) -> None:
    given = params(method)
    whole = learner(given)
    for number in range(2):
        whole.step(views(number), number / 4)
    kept = copy.deepcopy(whole.state())
    again = learner(given)
    again.restore(kept, 2)
    for trainer in (whole, again):
        for number in (2, 3):
            trainer.step(views(number), number / 4)
    assert whole.state().keys() == again.state().keys()
    assert all(torch.equal(tensor, again.state()[name]) for name, tensor in whole.state().items())


@pytest.mark.parametrize("method", ["byol", "dino"])
def test_the_teacher_moves_by_momentum(method: str) -> None:
    given = params(method, momentum=0.9)
    taught = built(given)
    assert isinstance(taught, Byol | Dino)
    pair = {"byol": ("encoder", "target_encoder"), "dino": ("encoder", "teacher_encoder")}[method]
    student, teacher = (taught.get_submodule(name) for name in pair)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1.0)
    before = [parameter.clone() for parameter in teacher.parameters()]
    taught.after_step(0.0)
    for old, new in zip(before, teacher.parameters(), strict=True):
        assert torch.allclose(new - old, torch.full_like(old, 0.1), atol=1e-5)
    before = [parameter.clone() for parameter in teacher.parameters()]
    taught.after_step(1.0)
    assert all(torch.equal(old, new) for old, new in zip(before, teacher.parameters(), strict=True))


def test_momentum_rises_from_its_base_to_one() -> None:
    points = [momentum_at(share / 10, 0.9) for share in range(11)]
    assert points[0] == pytest.approx(0.9)
    assert points[-1] == 1
    assert points == sorted(points)


def test_dino_keeps_the_teacher_and_the_others_what_they_taught() -> None:
    dino = built(params("dino"))
    assert isinstance(dino, Dino)
    assert dino.outcome is dino.teacher_encoder
    assert all(taught.outcome is taught.encoder for taught in map(built, (params("simsiam"), params("byol"))))


def test_dinos_center_follows_the_teachers_mean_and_takes_it_away() -> None:
    given = params("dino", center_momentum=0.0)
    dino = built(given).train()
    assert isinstance(dino, Dino)
    large = torch.cat(as_floats(views())[:2])
    with torch.no_grad():
        mean = dino.teacher_head.sort(dino.teacher_head.embed(dino.teacher_encoder(large)[-1].mean((2, 3)))).mean(0)
    dino.compare(as_floats(views()))
    assert torch.allclose(dino.center, mean, atol=0.02)


def test_the_spread_is_one_for_embeddings_everywhere_and_zero_for_collapse() -> None:
    torch.manual_seed(0)
    assert spread(torch.randn(512, 64)) == pytest.approx(1, abs=0.02)
    assert spread(torch.ones(8, 64) * 3) == 0
    assert spread(torch.ones(8, 64) + 0.01 * torch.randn(8, 64)) < 0.1
    assert spread(torch.zeros(8, 64)) == 0


def test_the_rank_counts_directions_and_sees_the_line_that_spread_does_not() -> None:
    torch.manual_seed(0)
    assert effective_rank(torch.randn(16, 512)) == pytest.approx(15, abs=0.5)
    assert effective_rank(torch.eye(3).repeat(4, 1)) == pytest.approx(2, abs=0.01)
    assert effective_rank(torch.ones(8, 64)) == 0
    line = torch.tensor([1.0, -1.0]).repeat(4)[:, None] * torch.randn(64).sign()
    assert spread(line) == pytest.approx(1, abs=0.1)
    assert effective_rank(line) == pytest.approx(1, abs=0.01)


def test_a_warning_needs_a_collapse_and_a_batch_to_judge_it_by() -> None:
    assert warning(1.0, 9.0, 16) is None
    assert warning(1.0, 1.0, 4) is None
    for found in (warning(0.05, 9.0, 16), warning(1.0, 1.0, 16)):
        assert found is not None
        assert found.startswith("it collapsed")


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"crop_px": 32}, "crop_px"), ({"method": "dino", "local_px": 32}, "local_px")],
)
def test_views_too_small_for_the_encoder_are_refused(changes: dict[str, object], named: str) -> None:
    with pytest.raises(SiameseError, match=rf"pretraining\.{named}: 32 px is too small.*at least 64"):
        built(params(str(changes.pop("method", "simsiam")), **changes))
