"""Convolutions whose padding is known in advance."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from siamese.model.depthwise import DepthwiseConv2d


class FixedConv2d(nn.Module):
    """A convolution of images whose sides are multiples of its stride.

    TensorFlow's padding is otherwise computed from each image, which no exporter can trace.
    """

    def __init__(self, conv: nn.Conv2d | DepthwiseConv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        size = int(conv.weight.shape[-1])
        if isinstance(conv, DepthwiseConv2d):
            self.stride, self.groups = conv.stride, len(conv.weight)
            same, padding = conv.tensorflow_padding, conv.padding
        else:
            self.stride, self.groups, same, padding = int(conv.stride[0]), conv.groups, True, 0
        missing = max(size - self.stride, 0) if same else 0
        self.padding, self.rest = padding + missing // 2, missing % 2

    def forward(self, images: Tensor) -> Tensor:
        """Convolves ``(N, C, H, W)``."""
        if self.rest:
            images = functional.pad(images, (0, self.rest, 0, self.rest))
        weight, bias = self.weight, self.bias
        return functional.conv2d(images, weight, bias, self.stride, self.padding, 1, self.groups)


def fix_padding(network: nn.Module) -> None:
    """Replaces the convolutions of ``network`` whose padding depends on the image, and the depthwise ones."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, DepthwiseConv2d) or (isinstance(child, nn.Conv2d) and _is_same(child)):
                setattr(module, name, FixedConv2d(child))


def _is_same(conv: nn.Conv2d) -> bool:
    square = len({*conv.kernel_size}) == len({*conv.stride}) == 1 and conv.dilation == (1, 1)
    return type(conv).__name__ == "Conv2dSame" and square


def convolutions(network: nn.Module) -> list[nn.Conv2d | FixedConv2d]:
    """Returns all convolutions, of either kind."""
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | FixedConv2d)]


def reduce_weights(network: nn.Module, kind: torch.dtype) -> None:
    """Converts the weights of convolutions once, so that autocast need not do so at every call."""
    for conv in convolutions(network):
        conv.weight.data = conv.weight.data.to(kind)
