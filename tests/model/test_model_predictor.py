"""The predictor: early exit, flips, ensembles, any size, any number of threads; wrong images are refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from builders.tinynetworks import build, noise, scene, taught

from siamese.errors import SiameseError
from siamese.model import Decision, Predictor, class_raster
from siamese.model.backends import BREAK_EVEN_PAIRS, TorchBackend
from siamese.model.cost import pair_gflop
from siamese.model.predictor import average_decision
from siamese.params import NetworkParams

EMPTY = Decision(building=1, damaged_building=1)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one each time a post image is looked at."""
    seen: list[int] = []
    ask = TorchBackend.ask

    def counted(self: TorchBackend, *given: Any) -> Any:  # noqa: ANN401
        answer = ask(self, *given)

        def damage() -> Any:  # noqa: ANN401
            seen.append(1)
            return answer.damage()

        return type(answer)(answer.building, damage)

    monkeypatch.setattr(TorchBackend, "ask", counted)
    return seen


@pytest.mark.parametrize("localization", ["pre", "fused"])
def test_early_exit_changes_no_class(localization: str, looks: list[int]) -> None:
    network = taught(steps=25, localization=localization)
    skipped = drawn = 0
    for building, damaged in ((0.5, 0.5), (0.9, 0.2), (0.02, 0.02), (1, 1), (0.9, 1)):
        decision = Decision(building=building, damaged_building=damaged, class_weights=(1, 3, 2, 1))
        predictor = Predictor(network, decision)
        for seed, size in ((1, (64, 64)), (2, (70, 99)), (3, (31, 20))):
            pre, post, _ = scene(*size, seed)
            if seed == 3:
                pre = np.full_like(pre, 60)
            whole = class_raster(predictor.predict(pre, post), decision)
            looked = len(looks)
            assert np.array_equal(predictor.classify(pre, post), whole)
            skipped += len(looks) == looked
            drawn += bool(whole.any())
    assert skipped >= 3
    assert drawn >= 3


def test_early_exit_says_so_with_a_uniform_damage_and_only_when_asked(looks: list[int]) -> None:
    predictor = Predictor(build(), EMPTY)
    pre, post = noise(40, 50)
    assert (predictor.predict(pre, post, classes_only=True).damage == 0.25).all()
    assert not looks
    assert (predictor.predict(pre, post).damage != 0.25).any()
    assert looks


@pytest.mark.parametrize("flips", [1, 2, 4])
def test_averaging_over_flips_is_the_mean_of_the_views_and_turns_with_the_pair(flips: int) -> None:
    network, (pre, post) = build(), noise(50, 70)
    single, averaged = Predictor(network, EMPTY, flips=1), Predictor(network, EMPTY, flips=flips)
    found = averaged.predict(pre, post)
    views = ((1, 1), (1, -1), (-1, 1), (-1, -1))[:flips]
    each = [(single.predict(pre[::down, ::right], post[::down, ::right]), down, right) for down, right in views]
    building = np.mean([one.building[::down, ::right] for one, down, right in each], axis=0)
    damage = np.mean([one.damage[:, ::down, ::right] for one, down, right in each], axis=0)
    np.testing.assert_allclose(found.building, building, atol=1e-6)
    np.testing.assert_allclose(found.damage, damage, atol=1e-6)
    for down, right in views:
        turned = averaged.predict(pre[::down, ::right], post[::down, ::right])
        np.testing.assert_allclose(turned.building[::down, ::right], found.building, atol=1e-6)
        np.testing.assert_allclose(turned.damage[:, ::down, ::right], found.damage, atol=1e-6)


def test_an_ensemble_is_the_mean_of_its_members_even_of_different_kinds() -> None:
    networks = [build(), build(localization="fused"), build(encoder="test_resnet")]
    pre, post = noise(33, 48)
    each = [Predictor(network, EMPTY).predict(pre, post) for network in networks]
    whole = Predictor(networks, EMPTY).predict(pre, post)
    np.testing.assert_allclose(whole.building, np.mean([one.building for one in each], axis=0), atol=1e-6)
    np.testing.assert_allclose(whole.damage, np.mean([one.damage for one in each], axis=0), atol=1e-6)
    with pytest.raises(SiameseError, match="other bands"):
        Predictor([build(), build(bands=4)], EMPTY)


def test_an_ensembles_decision_is_the_mean_of_its_members() -> None:
    two = (
        Decision(building=0.4, damaged_building=0.2, vote_temperature=2),
        Decision(building=0.6, building_peak=0.6, class_weights=(1, 3, 1, 1)),
    )
    expected = Decision(
        building=0.5, damaged_building=0.35, building_peak=0.3, vote_temperature=1.5, class_weights=(1, 2, 1, 1)
    )
    assert average_decision(two) == expected
    assert average_decision(two[:1]) == two[0]


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_threads_share_a_predictor(backend: Any) -> None:  # noqa: ANN401
    predictor = Predictor(build(), EMPTY, backend=backend)
    pairs = [noise(32 + 16 * (seed % 3), 64, seed=seed) for seed in range(12)]
    expected = [predictor.predict(*pair) for pair in pairs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda pair: predictor.predict(*pair), pairs))
    for one, two in zip(found, expected, strict=True):
        assert np.array_equal(one.building, two.building)
        assert np.array_equal(one.damage, two.damage)


def test_the_disaster_type_reaches_the_network() -> None:
    predictor, (pre, post) = Predictor(build(disaster_film=True), EMPTY), noise(32, 32)
    unknown, flood = predictor.predict(pre, post), predictor.predict(pre, post, "flooding")
    assert np.array_equal(unknown.building, flood.building)
    assert np.abs(unknown.damage - flood.damage).max() > 0.001
    assert np.array_equal(predictor.predict(pre, post, "no such thing").damage, unknown.damage)


def test_the_setting_chooses_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build()
    assert Predictor(network, EMPTY).backend.startswith("torch")
    assert Predictor(network, EMPTY, expected_pairs=BREAK_EVEN_PAIRS).backend.startswith("openvino")
    monkeypatch.setenv("SIAMESE_BACKEND", "openvino")
    assert Predictor(network, EMPTY).backend.startswith("openvino")
    assert Predictor(network, EMPTY, backend="torch").backend.startswith("torch")


def test_a_predictor_does_not_follow_later_training() -> None:
    network, (pre, post) = build(), noise(32, 32)
    predictor = Predictor(network.train(), EMPTY)
    before = predictor.predict(pre, post)
    network.damage_head.final.bias.data += 1
    assert network.training
    assert np.array_equal(predictor.predict(pre, post).damage, before.damage)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda pre, post: (pre, post[..., :1]), r"post image: is uint8 \(20, 30, 1\), not uint8 \(H, W, 5\)"),
        (lambda pre, post: (pre[..., 0], post), "pre image"),
        (lambda pre, post: (pre.astype(np.float32), post), "pre image: is float32"),
        (lambda pre, post: (pre[:, :0], post[:, :0]), "pre image"),
        (lambda pre, post: (pre, post[1:]), "not two images of one size"),
    ],
)
def test_images_that_do_not_fit_are_refused_in_one_line(change: Callable[..., Any], message: str) -> None:
    predictor = Predictor(build(relation="asymmetric", bands=3, post_bands=5), EMPTY)
    pre, post = noise(20, 30, (3, 5))
    assert predictor.classify(pre, post).shape == (20, 30)
    with pytest.raises(SiameseError, match=message) as caught:
        predictor.predict(*change(pre, post))
    assert "\n" not in str(caught.value)


def test_the_cost_of_a_pair_grows_with_its_area() -> None:
    network = build()
    assert pair_gflop(network, 128) == pytest.approx(4 * pair_gflop(network, 64), rel=0.01)
    assert 50 < pair_gflop(_default()) < 90


def _default() -> Any:  # noqa: ANN401
    from siamese.model import build_network

    return build_network(NetworkParams())
