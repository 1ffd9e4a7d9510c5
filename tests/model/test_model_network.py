"""Every variant of the network passes the same test; odd input is handled or refused in one clear line."""

from __future__ import annotations

import pytest
import torch

from siamese.errors import SiameseError
from siamese.model import build_network
from siamese.model.precision import autocast
from siamese.params import NetworkParams

BASE = NetworkParams(
    encoder="test_efficientnet", pretrained=False, decoder_channels=(16, 12, 8, 8), localization_channels=(8, 8, 8, 8)
)
VARIANTS = {
    "default": {},
    "resnet": {"encoder": "test_resnet"},
    "convnext": {"encoder": "test_convnext", "decoder_channels": (16, 8, 8)},
    "byobnet": {"encoder": "test_byobnet"},
    "difference": {"fusion": "difference"},
    "fused localization": {"localization": "fused"},
    "no gates": {"attention_gates": False},
    "no deep supervision": {"deep_supervision": False},
    "to full size": {"decoder_channels": (16, 12, 8, 8, 4)},
    "coarse": {"decoder_channels": (16,), "localization_channels": (16, 8)},
}


def variant(name: str) -> NetworkParams:
    return NetworkParams.model_validate(BASE.model_dump() | VARIANTS[name])


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("reduced", [False, True])
def test_a_variant_gives_logits_of_the_input_size_and_a_gradient_to_every_parameter(name: str, reduced: bool) -> None:
    torch.manual_seed(0)
    params = variant(name)
    network = build_network(params).to(memory_format=torch.channels_last).train()
    # Some encoders begin with branches of weight zero, behind which nothing has a gradient yet.
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1 and not parameter.any():
                parameter.fill_(0.5)
    pre, post = torch.rand(2, 2, 3, 50, 70)
    if reduced:
        with autocast(torch.device("cpu")):
            output = network(pre, post)
    else:
        output = network(pre, post)
    assert output.localization.shape == (2, 1, 50, 70)
    assert output.damage.shape == (2, 4, 50, 70)
    coarse = output.coarse_localization + output.coarse_damage
    assert bool(coarse) == (params.deep_supervision and name != "coarse") or name == "coarse"
    parts = [output.localization, output.damage, *coarse]
    assert all(part.dtype == torch.float32 and torch.isfinite(part).all() for part in parts)
    torch.stack([(part * torch.randn_like(part)).sum() for part in parts]).sum().backward()
    dead = [key for key, tensor in network.named_parameters() if tensor.grad is None or not tensor.grad.any()]
    assert not dead


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
        ({"encoder": "test_vit"}, "not a pyramid"),
        ({"decoder_channels": (8,) * 6}, "go beyond the image"),
        ({"localization_channels": (8,) * 6}, "go beyond the image"),
    ],
)
def test_what_cannot_be_built_is_told_in_one_line(change: dict[str, object], message: str) -> None:
    with pytest.raises(SiameseError, match=message) as caught:
        build_network(NetworkParams.model_validate(BASE.model_dump() | change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 4, 32, 32), (1, 1, 32, 32), (3, 32, 32), (1, 3, 0, 32)])
def test_input_that_is_not_two_rgb_images_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SiameseError, match="not two"):
        build_network(BASE)(torch.rand(shape), torch.rand(shape))
    with pytest.raises(SiameseError, match="not two"):
        build_network(BASE)(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 64))
