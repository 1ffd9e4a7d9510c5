"""The cost of a network: its arithmetic for one pair."""

from __future__ import annotations

import copy

import torch
from torch.utils.flop_counter import FlopCounterMode

from siamese.model.backends.padding import fix_padding
from siamese.model.network import SiameseUNet


@torch.no_grad()
def pair_gflop(network: SiameseUNet, side_px: int = 1024) -> float:
    """Returns 10^9 multiplications and additions for one pair of square images, both halves; runs no computation."""
    shapes = copy.deepcopy(network).eval()
    fix_padding(shapes)
    shapes = shapes.to("meta")
    images = [torch.empty(1, bands, side_px, side_px, device="meta") for bands in network.params.input_bands]
    with FlopCounterMode(display=False) as counter:
        shapes(*images)
    return float(counter.get_total_flops()) / 1e9
