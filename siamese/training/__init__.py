"""Training: from a pair set to a checkpoint."""

from typing import TYPE_CHECKING

from siamese.lazy import lazily

if TYPE_CHECKING:
    from siamese.learning.processes import speaks
    from siamese.training.task import plan_training
    from siamese.training.verb import train

__all__ = ["plan_training", "speaks", "train"]

# Losses and crops need no storage, so they also run where there is none.
__getattr__ = lazily(
    __name__,
    {
        "siamese.learning.processes": ("speaks",),
        "siamese.training.task": ("plan_training",),
        "siamese.training.verb": ("train",),
    },
)
