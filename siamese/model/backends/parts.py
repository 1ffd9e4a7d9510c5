"""The parts in which a network is run, each with plain tensors as inputs and outputs, as exporters require."""

from __future__ import annotations

from torch import Tensor, nn

from siamese.model.backends.lean import LeanNetwork
from siamese.model.network import Localized


class Localize(nn.Module):
    """Processes the pre image alone: building logits, and the features that :class:`Assess` needs."""

    def __init__(self, lean: LeanNetwork) -> None:
        super().__init__()
        self.lean = lean

    def forward(self, pre: Tensor) -> tuple[Tensor, ...]:
        """Maps ``(1, H, W, bands)`` uint8 to logits ``(h, w)`` and features ``(1, h, w, C)``, shallow to deep."""
        body = self.lean.body
        found = body.localize(self.lean.pre(pre))
        fused = found.pyramid[-len(body.fusion) :]
        return found.logits[0, 0], *(level.permute(0, 2, 3, 1) for level in fused)


class Assess(nn.Module):
    """Processes the post image together with the result of :class:`Localize`."""

    def __init__(self, lean: LeanNetwork) -> None:
        super().__init__()
        self.lean = lean

    def forward(self, post: Tensor, disaster: Tensor, *features: Tensor) -> Tensor:
        """Maps ``(1, H, W, bands)`` uint8, ``(1,)`` int64 and features to logits ``(4, h, w)``."""
        pyramid = tuple(level.permute(0, 3, 1, 2) for level in features)
        found = Localized(post.new_zeros(()), (), pyramid)
        logits: Tensor = self.lean.body.assess(found, self.lean.post(post), disaster)[0]
        return logits


class Whole(nn.Module):
    """Processes both dates at once, for networks that find buildings in the fused dates."""

    def __init__(self, lean: LeanNetwork) -> None:
        super().__init__()
        self.lean = lean

    def forward(self, pre: Tensor, post: Tensor, disaster: Tensor) -> tuple[Tensor, Tensor]:
        """Maps two ``(1, H, W, bands)`` uint8 and ``(1,)`` int64 to logits ``(h, w)`` and ``(4, h, w)``."""
        output = self.lean.body(self.lean.pre(pre), self.lean.post(post), disaster)
        return output.localization[0, 0], output.damage[0]
