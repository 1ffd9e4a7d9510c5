"""Converts PyTorch networks to OpenVINO models that accept images of any size."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from siamese.model.backends.lean import LeanNetwork
from siamese.model.backends.parts import Assess, Localize, Whole
from siamese.model.network import SiameseUNet


def import_openvino() -> Any:  # noqa: ANN401
    """Imports ``openvino`` without letting it report every import and conversion to Google Analytics.

    Only a file in the user's home directory would make it ask for consent first; without its messenger it is silent.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


@dataclass(frozen=True)
class Part:
    """One part of a network, with a sample of its inputs and outputs."""

    module: nn.Module
    given: tuple[Tensor, ...]
    said: tuple[Tensor, ...]


@torch.no_grad()
def parts(network: SiameseUNet, lean: LeanNetwork, rows: int, columns: int) -> tuple[Part, ...]:
    """Returns the parts in which the network is run, each executed once on noise.

    Args:
        network: The original network.
        lean: The optimised network to run.
        rows: Height of the noise image, in multiples of the network's.
        columns: Width of the noise image, likewise.
    """
    generator = torch.Generator().manual_seed(0)
    sides = rows * network.multiple, columns * network.multiple
    pre, post = (
        torch.randint(0, 256, (1, *sides, bands), dtype=torch.uint8, generator=generator)
        for bands in network.params.input_bands
    )
    disaster = torch.zeros(1, dtype=torch.long)
    if network.params.localization != "pre":
        return (_tried(Whole(lean), pre, post, disaster),)
    first = _tried(Localize(lean), pre)
    return first, _tried(Assess(lean), post, disaster, *first.said[1:])


def convert(part: Part) -> Any:  # noqa: ANN401
    """Converts one part to an OpenVINO model; raises whatever PyTorch and OpenVINO raise."""
    with warnings.catch_warnings(), torch.no_grad():
        # Tracing warns about every size that it treats as a constant.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(part.module.eval(), part.given, check_trace=False)  # type: ignore[no-untyped-call]
        return import_openvino().convert_model(traced)


def _tried(module: nn.Module, *given: Tensor) -> Part:
    said = module(*given)
    return Part(module, given, said if isinstance(said, tuple) else (said,))
