"""PyTorch: on a GPU or the CPU, in the number format that the device is fastest with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from siamese.model.backends.backend import Answer, Floats, Image
from siamese.model.backends.lean import LeanNetwork
from siamese.model.backends.padding import reduce_weights
from siamese.model.backends.parts import Assess, Localize, Whole
from siamese.model.network import SiameseUNet
from siamese.model.precision import prediction_dtype


class TorchBackend:
    """Runs any network anywhere."""

    def __init__(self, network: SiameseUNet, device: torch.device, kind: torch.dtype | None = None) -> None:
        """Copies the network.

        Args:
            network: What is run; later changes to it are not seen.
            device: Where.
            kind: Number format; by default the fastest that the device has.
        """
        self.device, self._kind = device, kind or prediction_dtype(device)
        lean = LeanNetwork(network).to(device).to(memory_format=torch.channels_last)
        reduce_weights(lean, self._kind)
        self._localize, self._assess, self._whole = Localize(lean), Assess(lean), Whole(lean)
        self._two_halves = network.params.localization == "pre"

    @property
    def name(self) -> str:
        """E.g. ``torch bf16, 2 threads``."""
        kind = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}[self._kind]
        where = f"{torch.get_num_threads()} threads" if self.device.type == "cpu" else str(self.device)
        return f"torch {kind}, {where}"

    def ask(self, pre: Image, post: Image, disaster: int) -> Answer:
        """Probabilities for one pair; see :class:`siamese.model.backends.Backend`."""
        what = torch.tensor([disaster], device=self.device)
        with torch.inference_mode(), self._precision():
            if not self._two_halves:
                building, damage = self._whole(self._tensor(pre), self._tensor(post), what)
                return Answer(_array(building), lambda: _array(damage))
            building, *features = self._localize(self._tensor(pre))

        def assess() -> Floats:
            with torch.inference_mode(), self._precision():
                return _array(self._assess(self._tensor(post), what, *features))

        return Answer(_array(building), assess)

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, self._kind, enabled=self._kind != torch.float32)

    def _tensor(self, image: Image) -> Tensor:
        # As bytes, a quarter of what float32 would take on the way to a GPU.
        tensor = torch.from_numpy(np.ascontiguousarray(image))[None]
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)


def _array(tensor: Tensor) -> Floats:
    return np.ascontiguousarray(tensor.float().cpu().numpy())
