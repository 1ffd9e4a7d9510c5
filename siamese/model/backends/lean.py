"""A trained network optimised for prediction: the same function with fewer passes over memory."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from siamese.model.backends.folding import fold_batch_norms
from siamese.model.backends.padding import fix_padding
from siamese.model.encoders import Encoder
from siamese.model.network import SiameseUNet


class Normalised(nn.Module):
    """Converts ``(N, H, W, bands)`` uint8 to the input of an encoder's first layer, in one pass and without a copy."""

    scale: Tensor
    shift: Tensor

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.register_buffer("scale", (1 / (255 * encoder.std)).flatten().cpu())
        self.register_buffer("shift", (-encoder.mean / encoder.std).flatten().cpu())

    def forward(self, images: Tensor) -> Tensor:
        """Returns ``(N, bands, H, W)`` float32, channels last in memory."""
        return (images.float() * self.scale + self.shift).permute(0, 3, 1, 2)


class LeanNetwork(nn.Module):
    """A copy of a network with batch norms and the encoders' normalisation merged into other layers.

    Attributes:
        factors: Image pixels per localization and per damage logit: logits are not upsampled, unless a
            nonlinear operation follows.
    """

    def __init__(self, network: SiameseUNet) -> None:
        super().__init__()
        self.body = _copied(network)
        self.factors = _take_enlarging(self.body)
        self.pre, self.post = Normalised(network.encoder), Normalised(network.post_encoder or network.encoder)


def _take_enlarging(network: SiameseUNet) -> tuple[int, int]:
    if network.localization_head is None or network.thresholds is not None:
        return 1, 1
    heads = network.localization_head, network.damage_head
    factors = heads[0].reduction, heads[1].reduction
    for head in heads:
        head.reduction = 1
    return factors


@torch.no_grad()
def _copied(network: SiameseUNet) -> SiameseUNet:
    """Returns a CPU copy, folded only if that keeps its output, since a convolution's output may be used twice."""
    plain = copy.deepcopy(network).cpu().float().eval().requires_grad_(requires_grad=False)
    lean = copy.deepcopy(plain)
    generator = torch.Generator().manual_seed(0)
    sides = 2 * plain.multiple, 3 * plain.multiple
    images = [torch.rand(1, bands, *sides, generator=generator) for bands in plain.params.input_bands]
    fix_padding(lean)
    fold_batch_norms(lean, lambda: lean(*images))
    ours, theirs = lean(*images), plain(*images)
    same = all(
        torch.allclose(one, two, rtol=1e-4, atol=1e-4 * max(1.0, float(two.abs().max())))
        for one, two in ((ours.localization, theirs.localization), (ours.damage, theirs.damage))
    )
    chosen = lean if same else plain
    for name, encoder in list(chosen.named_children()):
        if isinstance(encoder, Encoder):
            # The encoder's work outside its body is done by :class:`Normalised`.
            setattr(chosen, name, encoder.body)
    return chosen
