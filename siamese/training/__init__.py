"""Training: a pair set to a checkpoint."""

from siamese.training.distributed import speaks
from siamese.training.train import plan_training, train

__all__ = ["plan_training", "speaks", "train"]
