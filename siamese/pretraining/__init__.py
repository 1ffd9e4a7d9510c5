"""Pre-training: an encoder learns from image pairs without labels, for when labels are scarce."""

from siamese.pretraining.task import plan_pretraining
from siamese.pretraining.verb import pretrain

__all__ = ["plan_pretraining", "pretrain"]
