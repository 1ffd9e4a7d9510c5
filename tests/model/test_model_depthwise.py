"""Quick depthwise gradients are the right ones."""

from __future__ import annotations

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from siamese.model.depthwise import DepthwiseConv2d, quicken_depthwise


@pytest.mark.parametrize("side", [16, 17])
@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("same", [False, True])
def test_output_and_gradients_are_those_of_the_plain_convolution(side: int, size: int, stride: int, same: bool) -> None:
    torch.manual_seed(0)
    kind, padding = (Conv2dSame, 0) if same else (nn.Conv2d, size // 2)
    plain = kind(8, 8, size, stride=stride, padding=padding, groups=8, bias=True)
    network = nn.Sequential(plain)
    images = torch.randn(2, 8, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()
    expected = network(images)
    towards = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, [images, plain.weight, plain.bias], towards)
    names = list(network.state_dict())
    quicken_depthwise(network)
    assert isinstance(network[0], DepthwiseConv2d)
    assert list(network.state_dict()) == names
    assert torch.equal(network(images), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        quick = network(images)
    assert quick.dtype == torch.bfloat16
    parameters = [images, network[0].weight, network[0].bias]
    given = torch.autograd.grad(quick, parameters, towards.bfloat16())
    for ours, theirs in zip(given, wanted, strict=True):
        assert (ours - theirs).abs().max() < 0.02 * theirs.abs().max()


def test_other_convolutions_are_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 16, 3, groups=8), nn.Conv2d(8, 8, 7, groups=8))
    kinds = [type(module) for module in network]
    quicken_depthwise(network)
    assert [type(module) for module in network] == kinds
