"""Pre-training: an encoder learns from image pairs without labels, for when labels are scarce."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siamese.lazy import lazily

if TYPE_CHECKING:
    from siamese.pretraining.task import plan_pretraining
    from siamese.pretraining.verb import pretrain

__all__ = ["plan_pretraining", "pretrain"]

# A stage is planned without the network.
__getattr__ = lazily(
    __name__,
    {
        "siamese.pretraining.task": ("plan_pretraining",),
        "siamese.pretraining.verb": ("pretrain",),
    },
)
