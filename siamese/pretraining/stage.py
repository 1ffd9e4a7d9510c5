"""The stage ``pretraining``."""

from __future__ import annotations

from siamese.manifests import Pretraining
from siamese.params import NetworkParams, PretrainingParams
from siamese.store import Stage

PRETRAINING = Stage(
    Pretraining,
    version=1,
    package="siamese.pretraining",
    sections={"network": NetworkParams, "pretraining": PretrainingParams},
)
