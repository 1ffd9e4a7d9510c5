"""Folds batch norms into the preceding convolutions: the same function, with one pass over memory fewer for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from siamese.model.backends.padding import FixedConv2d

Conv = nn.Conv2d | FixedConv2d


def fold_batch_norms(network: nn.Module, run: Callable[[], object]) -> None:
    """Folds every batch norm whose input is the direct output of a convolution.

    Args:
        network: Must be in eval mode; changed in place.
        run: Runs it once, to trace which layer follows which.
    """
    from timm.layers.norm_act import BatchNormAct2d

    pairs = _pairs(network, run)
    for norm, conv in pairs.items():
        _fold(norm, conv)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if child in pairs:
                rest = [child.drop, child.act] if isinstance(child, BatchNormAct2d) else []
                setattr(module, name, nn.Sequential(*rest))


def _pairs(network: nn.Module, run: Callable[[], object]) -> dict[nn.Module, Conv]:
    """Returns each batch norm with its preceding convolution; only convolutions followed by exactly one batch norm."""
    made: dict[int, tuple[Conv, Tensor]] = {}
    found: dict[nn.Module, Conv] = {}

    def after_conv(conv: nn.Module, _: Any, output: Tensor) -> None:  # noqa: ANN401
        assert isinstance(conv, Conv)  # noqa: S101
        # The tensor is kept alive, so that no other tensor gets its id.
        made[id(output)] = conv, output

    def before_norm(norm: nn.Module, given: tuple[Tensor, ...]) -> None:
        if id(given[0]) in made:
            found[norm] = made[id(given[0])][0]

    hooks = [module.register_forward_hook(after_conv) for module in network.modules() if isinstance(module, Conv)]
    hooks += [module.register_forward_pre_hook(before_norm) for module in network.modules() if _is_plain(module)]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    convs = list(found.values())
    return {norm: conv for norm, conv in found.items() if convs.count(conv) == 1}


def _is_plain(module: nn.Module) -> bool:
    from timm.layers.norm_act import BatchNormAct2d

    return type(module) in {nn.BatchNorm2d, BatchNormAct2d} and getattr(module, "running_mean", None) is not None


def _fold(norm: Any, conv: Conv) -> None:  # noqa: ANN401
    scale = (norm.running_var + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * norm.weight
    shift = -norm.running_mean if conv.bias is None else conv.bias - norm.running_mean
    bias = shift * scale if norm.bias is None else shift * scale + norm.bias
    conv.weight = nn.Parameter(conv.weight * scale[:, None, None, None], requires_grad=False)
    conv.bias = nn.Parameter(bias, requires_grad=False)
