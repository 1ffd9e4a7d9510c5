"""Depthwise convolutions with fast bfloat16 gradients on a CPU.

oneDNN computes two of the gradients with its reference code: the input gradient of a strided convolution, and that of
a 5x5 kernel. On a CPU with AMX they took more than half of a training step of EfficientNet-Lite0. The first is fast in
float32; the second is assembled from four 3x3 gradients, which are fast.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def quicken_depthwise(network: nn.Module) -> None:
    """Replaces every depthwise convolution in ``network`` with one of this module; names and weights are kept."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Conv2d) and _is_fit(child):
                setattr(module, name, DepthwiseConv2d(child))


class DepthwiseConv2d(nn.Module):
    """A depthwise convolution with the weights and padding of an existing one."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.size, self.stride = conv.kernel_size[0], conv.stride[0]
        # timm's Conv2dSame pads as TensorFlow does: as little as needed, with the odd pixel at the bottom and right.
        self.tensorflow_padding = hasattr(conv, "padding") and type(conv).__name__ == "Conv2dSame"
        self.padding = 0 if self.tensorflow_padding else int(conv.padding[0])

    def forward(self, images: Tensor) -> Tensor:
        """Convolves ``(N, C, H, W)``; returns ``(N, C, H', W')``."""
        padding = self.padding
        if self.tensorflow_padding:
            rows, columns = (self._missing(side) for side in images.shape[-2:])
            images = _padded(images, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        weight = self.weight
        if torch.is_autocast_enabled(images.device.type):
            kind = torch.get_autocast_dtype(images.device.type)
            images, weight = images.to(kind), weight.to(kind)
        if images.device.type == "cpu" and images.dtype == torch.bfloat16 and torch.is_grad_enabled():
            outcome: Tensor = _QuickGradients.apply(images, weight, self.stride, padding)
            return outcome if self.bias is None else outcome + self.bias.to(outcome.dtype)[:, None, None]
        bias = None if self.bias is None else self.bias.to(weight.dtype)
        return functional.conv2d(images, weight, bias, self.stride, padding, 1, len(weight))

    def _missing(self, side: int) -> int:
        return max((-(-side // self.stride) - 1) * self.stride + self.size - side, 0)


class _QuickGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(images, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:  # noqa: ANN401
        images, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        wants_images, wants_weight, *_ = ctx.needs_input_grad
        to_images = _to_images(gradient, images, weight, ctx.stride, ctx.padding) if wants_images else None
        to_weight = _to_weight(gradient, images, weight, ctx.stride, ctx.padding) if wants_weight else None
        return to_images, to_weight, None, None


def _to_images(gradient: Tensor, images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    if stride == 1:
        return _backward(gradient, images, weight, stride, padding, (True, False))[0]
    # Only the shape and layout of the images matter here.
    shape = torch.empty_like(images, dtype=torch.float32, memory_format=torch.channels_last)
    return _backward(gradient.float(), shape, weight.float(), stride, padding, (True, False))[0].to(images.dtype)


def _to_weight(gradient: Tensor, images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    size = weight.shape[-1]
    if size == 3:
        return _backward(gradient, images, weight, stride, padding, (False, True))[1]
    padded = _padded(images, (padding,) * 4)
    height, width = ((side - 1) * stride + 3 for side in gradient.shape[-2:])
    whole = torch.empty_like(weight)
    small = weight[..., :3, :3].contiguous()
    for row in (0, 2):
        for column in (0, 2):
            window = padded[..., row : row + height, column : column + width]
            window = window.contiguous(memory_format=torch.channels_last)
            part = _backward(gradient, window, small, stride, 0, (False, True))[1]
            whole[..., row : row + 3, column : column + 3] = part
    return whole


def _padded(images: Tensor, sides: tuple[int, int, int, int]) -> Tensor:
    """Pads four times as fast as ``pad``, which needs memory in axis order and copies even if nothing is added."""
    if not any(sides):
        return images
    return functional.pad(images.permute(0, 2, 3, 1), (0, 0, *sides)).permute(0, 3, 1, 2)


def _backward(
    gradient: Tensor, images: Tensor, weight: Tensor, stride: int, padding: int, wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    steps, sides = [stride, stride], [padding, padding]
    both: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient, images, weight, None, steps, sides, [1, 1], False, [0, 0], len(weight), [*wanted, False]
    )
    return both[0], both[1]


def _is_fit(conv: nn.Conv2d) -> bool:
    square = conv.kernel_size[0] == conv.kernel_size[1] in (3, 5) and conv.stride[0] == conv.stride[1]
    plain = conv.dilation == (1, 1) and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    even = isinstance(conv.padding, str) or conv.padding[0] == conv.padding[1]
    return conv.groups == conv.in_channels == conv.out_channels and square and plain and even
