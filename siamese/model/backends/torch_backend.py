"""PyTorch: on a GPU or the CPU, in the number format that is fastest on the device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from siamese.model.backends.backend import Answer, Floats, Image
from siamese.model.backends.lean import LeanNetwork
from siamese.model.backends.outcome import building_probability, damage_probabilities
from siamese.model.backends.padding import reduce_weights
from siamese.model.backends.parts import Assess, Localize, Whole
from siamese.model.network import SiameseUNet
from siamese.model.precision import prediction_dtype


class TorchBackend:
    """Runs any network on any device."""

    def __init__(self, network: SiameseUNet, device: torch.device, kind: torch.dtype | None = None) -> None:
        """Copies the network.

        Args:
            network: The network to run; later changes to it have no effect.
            device: The device to run it on.
            kind: Number format; defaults to the fastest that the device supports.
        """
        self.device, self._kind = device, kind or prediction_dtype(device)
        lean = LeanNetwork(network).to(device).to(memory_format=torch.channels_last)
        reduce_weights(lean, self._kind)
        self._localize, self._assess, self._whole = Localize(lean), Assess(lean), Whole(lean)
        self._factors, self._two_halves = lean.factors, network.params.localization == "pre"

    @property
    def name(self) -> str:
        """E.g. ``torch bf16, 2 threads``."""
        kind = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}[self._kind]
        where = f"{torch.get_num_threads()} threads" if self.device.type == "cpu" else str(self.device)
        return f"torch {kind}, {where}"

    def ask(self, pre: Image, post: Image, disaster: int) -> Answer:
        """Returns probabilities for one pair; see :class:`siamese.model.backends.Backend`."""
        size = pre.shape[0], pre.shape[1]
        what = torch.tensor([disaster], device=self.device)
        with torch.inference_mode(), self._precision():
            if not self._two_halves:
                building, damage = self._whole(self._tensor(pre), self._tensor(post), what)
                return Answer(self._building(building, size), lambda: self._damage(damage, size))
            building, *features = self._localize(self._tensor(pre))

        def assess() -> Floats:
            with torch.inference_mode(), self._precision():
                damage = self._assess(self._tensor(post), what, *features)
            return self._damage(damage, size)

        return Answer(self._building(building, size), assess)

    @torch.inference_mode()
    def _building(self, logits: Tensor, size: tuple[int, int]) -> Floats:
        if logits.device.type == "cpu":
            return building_probability(logits.numpy(), self._factors[0], size)
        return _array(torch.sigmoid(_enlarged(logits[None], self._factors[0], size)[0]))

    @torch.inference_mode()
    def _damage(self, logits: Tensor, size: tuple[int, int]) -> Floats:
        if logits.device.type == "cpu":
            return damage_probabilities(logits.numpy(), self._factors[1], size)
        return _array(torch.softmax(_enlarged(logits, self._factors[1], size), 0))

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, self._kind, enabled=self._kind != torch.float32)

    def _tensor(self, image: Image) -> Tensor:
        # As bytes, which take a quarter of the transfer to a GPU that float32 would.
        tensor = torch.from_numpy(np.ascontiguousarray(image))[None]
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)


def _enlarged(logits: Tensor, factor: int, size: tuple[int, int]) -> Tensor:
    """Upsamples ``(C, h, w)`` to ``(C, H, W)``, on the logits' own device."""
    if factor > 1:
        logits = functional.interpolate(logits[None], scale_factor=float(factor), mode="bilinear")[0]
    return logits[:, : size[0], : size[1]]


def _array(tensor: Tensor) -> Floats:
    return np.ascontiguousarray(tensor.cpu().numpy())
