"""Training: from a pair set to a checkpoint."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from siamese.learning.processes import speaks
    from siamese.training.task import plan_training
    from siamese.training.verb import train

__all__ = ["plan_training", "speaks", "train"]


def __getattr__(name: str) -> object:
    """Imports the verb on first access: losses and crops need no storage, so they also run where there is none."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from siamese.learning.processes import speaks
    from siamese.training.task import plan_training
    from siamese.training.verb import train

    return {"plan_training": plan_training, "speaks": speaks, "train": train}[name]
