"""Every variant of the network passes the same test; odd input is handled or refused in one clear line."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from siamese.classes import disaster_number
from siamese.errors import SiameseError
from siamese.model import Decision, NetworkConfig, SiameseUNet, build_network, read_config
from siamese.model.fusion import build_fusion
from siamese.model.heads import OrderedThresholds, split_joint
from siamese.model.precision import autocast
from siamese.model.weights import restore, serialize
from siamese.params import NetworkParams

BASE = NetworkParams(
    encoder="test_efficientnet", pretrained=False, decoder_channels=(16, 12, 8, 8), localization_channels=(8, 8, 8, 8)
)
OF_FOUR = {"decoder_channels": (16, 8, 8), "localization_channels": (8, 8)}
VARIANTS: dict[str, dict[str, object]] = {
    "default": {},
    "resnet": {"encoder": "test_resnet"},
    "byobnet": {"encoder": "test_byobnet"},
    "convnext": {"encoder": "test_convnext", **OF_FOUR},
    "vit": {"encoder": "test_vit", **OF_FOUR},
    "plain": {"encoder": "plain", **OF_FOUR},
    "pseudo": {"relation": "pseudo"},
    "asymmetric": {"relation": "asymmetric", "post_bands": 1, "post_encoder": "test_resnet"},
    "five bands": {"bands": 5},
    "difference": {"fusion": "difference"},
    "signed": {"fusion": "signed"},
    "attention": {"fusion": "attention"},
    "fused localization": {"localization": "fused"},
    "joint head": {"localization": "fused", "heads": "joint", "damage": "nominal"},
    "ordinal": {"damage": "ordinal"},
    "nominal": {"damage": "nominal"},
    "film": {"disaster_film": True},
    "no gates": {"attention_gates": False},
    "no deep supervision": {"deep_supervision": False},
    "to full size": {"decoder_channels": (16, 12, 8, 8, 4)},
    "coarse": {"decoder_channels": (16,), "localization_channels": (16, 8)},
}
WHOLE_ENCODERS = (
    "resnet34", "resnet50", "resnet101", "vgg16", "convnext_tiny", "tf_efficientnet_lite0", "efficientnet_b0",
    "vit_small_patch16_224.dino", "vit_small_patch14_dinov2.lvd142m",
)  # fmt: skip
CPU = torch.device("cpu")


def variant(name: str) -> NetworkParams:
    return NetworkParams.model_validate(BASE.model_dump() | VARIANTS[name])


def build(params: NetworkParams) -> SiameseUNet:
    torch.manual_seed(0)
    network = build_network(params).to(memory_format=torch.channels_last)
    # Some encoders begin with branches of weight zero, behind which nothing has a gradient yet.
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.fill_(0.1)
    return network


def images(params: NetworkParams, number: int = 2, height: int = 50, width: int = 70) -> tuple[Tensor, Tensor, Tensor]:
    pre, post = (torch.rand(number, bands, height, width) for bands in params.input_bands)
    return pre, post, torch.arange(number)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("reduced", [False, True])
def test_a_variant_gives_logits_of_the_input_size_and_a_gradient_to_every_parameter(name: str, reduced: bool) -> None:
    params = variant(name)
    network = build(params).train()
    with autocast(CPU) if reduced else nullcontext():
        output = network(*images(params))
    assert output.localization.shape == (2, 1, 50, 70)
    assert output.damage.shape == (2, 4, 50, 70)
    coarse = output.coarse_localization + output.coarse_damage
    assert bool(coarse) == (params.deep_supervision and name != "coarse") or name == "coarse"
    parts = [output.localization, output.damage, *coarse]
    assert all(part.dtype == torch.float32 and torch.isfinite(part).all() for part in parts)
    torch.stack([(part * torch.randn_like(part)).sum() for part in parts]).sum().backward()
    assert not [key for key, tensor in network.named_parameters() if tensor.grad is None or not tensor.grad.any()]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_kept_by_digest_and_exported_and_says_the_same(name: str) -> None:
    params = variant(name)
    network = build(params).eval()
    pre, post, disaster = images(params, height=64, width=96)
    data = serialize(network.state_dict())
    digest = hashlib.sha256(data).hexdigest()
    config = NetworkConfig(network=params, decision=Decision(), start="random", weights_sha256=digest)
    again = restore(data, read_config(config.model_dump_json().encode(), "config"), "weights")
    exported = torch.export.export(Logits(network), (pre, post, disaster)).module()
    with torch.inference_mode():
        output = network(pre, post, disaster)
        kept = again(pre, post, disaster)
        localization, damage = exported(pre, post, disaster)
    for others in ((kept.localization, kept.damage), (localization, damage)):
        torch.testing.assert_close(others[0], output.localization, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(others[1], output.damage, rtol=1e-3, atol=1e-3)


class Logits(nn.Module):
    """A network whose output is plain tensors, as exporters want it."""

    def __init__(self, network: SiameseUNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, pre: Tensor, post: Tensor, disaster: Tensor) -> tuple[Tensor, Tensor]:
        """Localization and damage."""
        output = self.network(pre, post, disaster)
        return output.localization, output.damage


@pytest.mark.parametrize("encoder", WHOLE_ENCODERS)
def test_the_encoders_that_people_ask_for_can_be_frozen_scale_by_scale(encoder: str) -> None:
    shape = {} if "efficientnet" in encoder else OF_FOUR
    network = build(NetworkParams.model_validate({"encoder": encoder, "pretrained": False, **shape})).eval()
    with torch.inference_mode():
        assert network(*torch.rand(2, 1, 3, 40, 60)).damage.shape == (1, 4, 40, 60)
    held = [
        {id(parameter) for module in network.encoder.shallow(scales) for parameter in module.parameters()}
        for scales in range(1, len(network.encoder.channels) + 1)
    ]
    assert all(less <= more for less, more in pairwise(held))
    every = {id(parameter) for parameter in network.encoder.parameters()}
    assert len(every - held[-1]) <= 2, "all but what lies behind the last scale"


@pytest.mark.parametrize("name", ["default", "pseudo", "film", "ordinal", "attention"])
def test_in_two_halves_it_says_what_it_says_at_once(name: str) -> None:
    params = variant(name)
    network = build(params).eval()
    pre, post, disaster = images(params)
    with torch.inference_mode():
        output, localized = network(pre, post, disaster), network.localize(pre)
        damage = network.assess(localized, post, disaster)
    torch.testing.assert_close(localized.logits, output.localization, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(damage, output.damage, rtol=1e-4, atol=1e-4)


def test_a_joint_head_is_one_softmax_over_five_classes() -> None:
    logits = torch.randn(2, 5, 3, 4) * 5
    localization, damage = split_joint(logits)
    building = torch.sigmoid(localization)
    five = torch.cat([1 - building, building * torch.softmax(damage, 1)], 1)
    torch.testing.assert_close(five, torch.softmax(logits, 1))


def test_ordered_thresholds_give_probabilities_that_move_with_severity() -> None:
    thresholds = OrderedThresholds()
    severity = torch.linspace(-200, 200, 4001)[None, None, None]
    log_probability = thresholds(severity)
    assert torch.isfinite(log_probability).all()
    probability = log_probability.exp()
    torch.testing.assert_close(probability.sum(1), torch.ones(1, 1, 4001))
    expected = (probability[0, :, 0] * torch.arange(4)[:, None]).sum(0)
    assert (expected.diff() >= -1e-5).all()
    assert set(probability[0, :, 0].argmax(0).tolist()) == {0, 1, 2, 3}


def test_disaster_types_matter_where_they_should_and_unknown_is_the_default() -> None:
    network = build(variant("film")).eval()
    with torch.no_grad():
        for table in network.film.shifts:
            table.weight[3] += 1
    pre, post, _ = images(variant("film"), number=1)
    with torch.inference_mode():
        none, unknown, flood = (
            network(pre, post, which).damage for which in (None, torch.tensor([0]), torch.tensor([3]))
        )
    assert torch.equal(none, unknown)
    assert not torch.equal(unknown, flood)
    assert disaster_number("flooding") == 3
    assert disaster_number("meteorite") == disaster_number(None) == disaster_number("unknown") == 0


def test_a_disaster_type_of_no_training_scene_counts_as_unknown() -> None:
    network = build(variant("film")).eval()
    with torch.no_grad():
        for parameter in network.film.parameters():
            parameter.zero_()
        network.film.shifts[0].weight[0] += 1
        network.film.scales[-1].weight[3] += 1
    assert network.film.learned().tolist() == [True, False, False, True, False, False, False]
    pre, post, _ = images(variant("film"), number=1)
    with torch.inference_mode():
        unknown, fire, flood = (network(pre, post, torch.tensor([number])).damage for number in (0, 2, 3))
    assert torch.equal(unknown, fire)
    assert not torch.equal(unknown, flood)


def test_attention_finds_what_was_only_shifted() -> None:
    attention = build_fusion("attention", 16, 16).eval()
    torch.manual_seed(0)
    features = torch.randn(1, 16, 12, 12)
    with torch.no_grad():
        attention.key.weight.copy_(attention.query.weight)
        attention.query.weight *= 500
        attention.mix = nn.Identity()
        compared = attention(features, features.roll(1, dims=-1))[:, 16:, 2:-2, 2:-2]
        difference = build_fusion("difference", 16, 16)(features, features.roll(1, dims=-1))[..., 2:-2, 2:-2]
    assert compared.mean() < 0.2 * difference.mean()


@pytest.mark.parametrize("name", ["default", "fused localization"])
def test_the_dates_are_told_apart_and_localization_looks_where_it_is_told(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(variant(name)).eval()
    pre, post, other = torch.rand(3, 1, 3, 64, 64)
    first, second = network(pre, post), network(pre, other)
    assert not torch.equal(first.damage, second.damage)
    assert torch.equal(first.localization, second.localization) == (name == "default")


def test_a_pair_of_one_pixel_works() -> None:
    assert build_network(BASE).eval()(*torch.rand(2, 1, 3, 1, 1)).damage.shape == (1, 4, 1, 1)


def test_padding_changes_nothing_far_from_the_edge() -> None:
    torch.manual_seed(0)
    network = build_network(BASE).eval()
    pre, post = torch.rand(2, 1, 3, 192, 192)
    whole, cut = network(pre, post), network(pre[..., :185], post[..., :185])
    assert torch.allclose(whole.damage[..., :32], cut.damage[..., :32], atol=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": "resnet_34"}, "did you mean .*resnet34"),
        ({"encoder": "swin_tiny_patch4_window7_224"}, "does not take images of any size"),
        ({"relation": "asymmetric", "post_encoder": "plain"}, "cannot be fused.*plain has strides"),
        ({"relation": "asymmetric", "post_encoder": "resnet_34"}, "did you mean .*resnet34"),
        ({"decoder_channels": (8,) * 6}, "go beyond the image"),
        ({"localization_channels": (8,) * 6}, "go beyond the image"),
    ],
)
def test_what_cannot_be_built_is_told_in_one_line(change: dict[str, object], message: str) -> None:
    with pytest.raises(SiameseError, match=message) as caught:
        build_network(NetworkParams.model_validate(BASE.model_dump() | change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"post_bands": 1},
        {"post_encoder": "resnet34"},
        {"heads": "joint"},
        {"heads": "joint", "localization": "fused", "damage": "ordinal"},
        {"relation": "twin"},
        {"fusion": "sum"},
        {"bands": 0},
    ],
)
def test_params_that_contradict_each_other_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NetworkParams.model_validate(BASE.model_dump() | change)


@pytest.mark.parametrize("shape", [(1, 4, 32, 32), (1, 1, 32, 32), (3, 32, 32), (1, 3, 0, 32)])
def test_input_that_is_not_two_rgb_images_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SiameseError, match="not two"):
        build_network(BASE)(torch.rand(shape), torch.rand(shape))
    with pytest.raises(SiameseError, match="not two"):
        build_network(BASE)(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 64))
