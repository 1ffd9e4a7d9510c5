"""The stage ``quantized``: a checkpoint in 8-bit integers."""

from __future__ import annotations

from siamese.manifests import Checkpoint
from siamese.params import QuantizationParams
from siamese.store import Stage

QUANTIZED = Stage(
    Checkpoint,
    version=1,
    package="siamese.quantization",
    sections={"quantization": QuantizationParams},
    name="quantized",
)
