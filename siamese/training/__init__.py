"""Training: a pair set to a checkpoint."""

from siamese.training.train import plan_training, train

__all__ = ["plan_training", "train"]
