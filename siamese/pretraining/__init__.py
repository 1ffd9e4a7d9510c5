"""Pre-training: an encoder learns from pairs without their labels, for when labels are scarce."""

from siamese.pretraining.pretrain import plan_pretraining, pretrain

__all__ = ["plan_pretraining", "pretrain"]
