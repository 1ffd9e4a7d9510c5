"""The stage ``checkpoint``."""

from __future__ import annotations

from siamese.manifests import Checkpoint
from siamese.params import NetworkParams, TrainingParams
from siamese.store import Stage

CHECKPOINT = Stage(
    Checkpoint,
    version=1,
    package="siamese.training",
    sections={"network": NetworkParams, "training": TrainingParams},
)
