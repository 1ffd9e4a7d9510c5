"""Whatever runs a network, it says the same; what cannot run it makes way."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.tinynetworks import build, noise, scene, taught

from siamese.model import Decision, Probabilities, SiameseUNet, class_raster
from siamese.model.backends import (
    BREAK_EVEN_PAIRS,
    Answer,
    Backend,
    BackendError,
    OpenVinoBackend,
    TorchBackend,
    build_backend,
    choice,
)
from siamese.model.backends.lean import LeanNetwork
from siamese.model.precision import has_bf16

CPU = torch.device("cpu")
FUSED = {"localization": "fused"}
VARIANTS: dict[str, dict[str, object]] = {
    "default": {},
    "resnet": {"encoder": "test_resnet"},
    "convnext": {"encoder": "test_convnext", "decoder_channels": (16, 8, 8), "localization_channels": (8, 8)},
    "plain": {"encoder": "plain", "decoder_channels": (16, 8, 8), "localization_channels": (8, 8)},
    "asymmetric": {"relation": "asymmetric", "post_bands": 1, "post_encoder": "test_resnet"},
    "five bands": {"bands": 5},
    "attention": {"fusion": "attention"},
    "fused localization": FUSED,
    "joint head": FUSED | {"heads": "joint", "damage": "nominal"},
    "nominal": {"damage": "nominal"},
    "film": {"disaster_film": True},
    "to full size": {"decoder_channels": (16, 12, 8, 8, 4)},
}


@pytest.fixture(scope="module")
def trained() -> SiameseUNet:
    return taught()


def ask(backend: Backend, seed: int = 7, height: int = 100, width: int = 76) -> Probabilities:
    answer = backend.ask(*scene(height, width, seed)[:2], 0)
    return Probabilities(answer.building, answer.damage())


def plain(network: SiameseUNet, pre: np.ndarray, post: np.ndarray, disaster: int) -> Probabilities:
    """What the network itself says."""
    images = [torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for image in (pre, post)]
    with torch.inference_mode():
        output = network(*images, torch.tensor([disaster]))
    damage = torch.softmax(output.damage[0], 0)
    return Probabilities(torch.sigmoid(output.localization[0, 0]).numpy(), damage.numpy())


@pytest.mark.parametrize("name", VARIANTS)
def test_each_backend_says_in_float32_what_the_network_says(name: str) -> None:
    network = build(**VARIANTS[name])
    for backend in (TorchBackend(network, CPU, torch.float32), OpenVinoBackend(network, bf16=False)):
        for size in ((64, 96), (83, 50), (1, 5)):
            pre, post = noise(*size, network.params.input_bands)
            expected, answer = plain(network, pre, post, 2), backend.ask(pre, post, 2)
            np.testing.assert_allclose(answer.building, expected.building, atol=1e-4)
            np.testing.assert_allclose(answer.damage(), expected.damage, atol=1e-4)
            assert answer.building.dtype == answer.damage().dtype == np.float32


def test_any_two_backends_agree_on_what_a_trained_network_sees(trained: SiameseUNet) -> None:
    backends: list[Backend] = [
        TorchBackend(trained, CPU, torch.float32),
        TorchBackend(trained, CPU, torch.bfloat16),
        OpenVinoBackend(trained, bf16=False),
        OpenVinoBackend(trained, bf16=has_bf16(CPU)),
    ]
    predictions = {backend.name: [ask(backend, seed, 250, 310) for seed in range(900, 904)] for backend in backends}
    classes = {name: np.stack([class_raster(one, Decision()) for one in said]) for name, said in predictions.items()}
    assert set(np.unique(classes[backends[0].name])) == {0, 1, 2, 3, 4}
    for one, two in combinations(classes, 2):
        exact = one.split(",")[0].endswith("fp32") and two.split(",")[0].endswith("fp32")
        buildings = (classes[one] > 0) | (classes[two] > 0)
        assert (classes[one] != classes[two]).sum() < (1e-5 if exact else 1e-3) * buildings.sum(), (one, two)
        for ours, theirs in zip(predictions[one], predictions[two], strict=True):
            limit = 1e-4 if exact else 0.02
            assert np.abs(ours.building - theirs.building).max() < limit, (one, two)
            assert np.abs(ours.damage - theirs.damage).max() < limit, (one, two)


def test_lean_networks_have_no_batch_norms_and_leave_the_network_alone() -> None:
    network = build()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    lean = LeanNetwork(network)
    assert not [module for module in lean.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_convolution_whose_outcome_is_used_twice_is_not_folded() -> None:
    network = build()
    step = network.damage_decoder.steps[0].refine

    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = step[0], step[1]

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            found = self.conv(images)
            return self.norm(found) + found

    network.damage_decoder.steps[0].refine = Twice()
    pre, post = noise(64, 64)
    answer, expected = TorchBackend(network, CPU, torch.float32).ask(pre, post, 0), plain(network, pre, post, 0)
    np.testing.assert_allclose(answer.damage(), expected.damage, atol=1e-4)


def test_auto_chooses_by_the_work_that_is_expected() -> None:
    network = build()
    assert build_backend(network, CPU, "auto", BREAK_EVEN_PAIRS - 1).name.startswith("torch")
    assert build_backend(network, CPU, "auto", BREAK_EVEN_PAIRS).name.startswith("openvino")
    assert build_backend(network, CPU, "torch", 10**6).name.startswith("torch")
    assert build_backend(network, CPU, "openvino", 1).name.startswith("openvino")


def test_the_choice_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    choice._say.cache_clear()
    network = build()
    for _ in range(3):
        build_backend(network, CPU, "torch", 1)
    assert [record.message for record in caplog.records] == [f"network runs on {TorchBackend(network, CPU).name}"]


def test_a_broken_openvino_makes_way_for_pytorch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    network = build()
    expected = ask(TorchBackend(network, CPU))
    monkeypatch.setitem(sys.modules, "openvino", None)
    backend = build_backend(network, CPU, "openvino", 1)
    assert backend.name.startswith("torch")
    assert "OpenVINO cannot run this network, PyTorch does: " in caplog.text
    assert np.array_equal(ask(backend).damage, expected.damage)


def test_openvino_that_breaks_at_work_makes_way_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> Answer:
        raise RuntimeError("no such\ninstruction")

    network = build()
    backend = build_backend(network, CPU, "openvino", 1)
    assert backend.name.startswith("openvino")
    monkeypatch.setattr(OpenVinoBackend, "_compile", broken)
    expected = ask(TorchBackend(network, CPU))
    for _ in range(2):
        assert np.array_equal(ask(backend).damage, expected.damage)
    assert caplog.text.count("RuntimeError: no such instruction") == 1


def test_a_network_that_openvino_gets_wrong_is_not_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # A ViT's positions are resampled to the size that is traced, so no other size fits.
    small = {"encoder": "test_vit", "decoder_channels": (16, 8, 8), "localization_channels": (8, 8)}
    with pytest.raises(BackendError):
        OpenVinoBackend(build(**small))
    assert build_backend(build(**small), CPU, "openvino", 1).name.startswith("torch")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="OpenVINO moves it on Linux alone")
def test_signals_are_handled_where_they_were_after_networks_came_and_went() -> None:
    before, after = (ctypes.create_string_buffer(64) for _ in range(2))
    libc = ctypes.CDLL(None)
    libc.sigaltstack(None, before)
    loaded = [OpenVinoBackend(build(), bf16=False) for _ in range(2)]
    while loaded:
        del loaded[0]  # In the order that OpenVINO itself does not put right.
    libc.sigaltstack(None, after)
    assert after.raw == before.raw


def test_openvino_has_no_way_to_phone_home(tmp_path: Path) -> None:
    """Its messenger is never loaded, and leaves no identity in the user's home."""
    code = (
        "import sys; from siamese.model.backends.conversion import import_openvino; import_openvino().convert_model;"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry') and sys.modules[name]])"
    )
    environment = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert not list(tmp_path.iterdir())
