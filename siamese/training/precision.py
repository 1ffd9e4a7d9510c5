"""The number format of a training."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from siamese.errors import SiameseError
from siamese.model.precision import has_bf16
from siamese.params import TrainingParams


class Precision:
    """What the network computes in, and the scale that keeps small float16 gradients from vanishing.

    Attributes:
        dtype: Of the network's activations; None: float32 throughout.
        scaler: Does nothing unless ``dtype`` is float16.
    """

    def __init__(self, params: TrainingParams, device: torch.device) -> None:
        """Takes the format of the params; ``auto`` is bfloat16 where the hardware has it, else float32.

        Raises:
            SiameseError: The device does not train in float16.
        """
        if params.precision == "fp16" and device.type != "cuda":
            what = f"a {device.type} does not train in fp16"
            raise SiameseError(what, where="training.precision", fix="choose auto, bf16 or fp32, or train on a GPU")
        auto = torch.bfloat16 if has_bf16(device) else None
        formats = {"auto": auto, "bf16": torch.bfloat16, "fp16": torch.float16, "fp32": None}
        self.dtype, self._device = formats[params.precision], device
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)

    def autocast(self) -> AbstractContextManager[object]:
        """For the network's forward pass."""
        return nullcontext() if self.dtype is None else torch.autocast(self._device.type, dtype=self.dtype)

    def skips(self, norm: torch.Tensor) -> bool:
        """Whether gradients of this norm only mean that the scale was too large, so that the update is left out."""
        return self.scaler.is_enabled() and self.scaler.get_scale() > 1 and not bool(torch.isfinite(norm))
