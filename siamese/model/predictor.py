"""The predictor: a trained network on this machine's best device and number format."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from siamese.errors import SiameseError
from siamese.manifests import Checkpoint
from siamese.model.decision import Classes, Decision, Prediction, calibrate, class_raster
from siamese.model.network import SiameseUNet
from siamese.model.precision import autocast, best_device
from siamese.model.weights import load_network
from siamese.store import ObjectStore

Image = npt.NDArray[np.uint8]


class Predictor:
    """Asks a network about pairs of images of any size."""

    def __init__(self, network: SiameseUNet, decision: Decision, device: torch.device | None = None) -> None:
        self.device = device or best_device()
        self.decision = decision
        self._network = network.eval().to(self.device).to(memory_format=torch.channels_last)

    @classmethod
    def load(cls, store: ObjectStore, checkpoint: Checkpoint) -> Self:
        """The predictor of a checkpoint.

        Raises:
            SiameseError: Its objects are missing or do not fit; see :func:`siamese.model.load_network`.
        """
        network, config = load_network(store, checkpoint)
        return cls(network, config.decision)

    @torch.inference_mode()
    def predict(self, pre: Image, post: Image) -> Prediction:
        """Probabilities for one pair of ``(H, W, 3)`` uint8 images, before calibration.

        Raises:
            SiameseError: The images are not RGB uint8 of one shape.
        """
        with autocast(self.device):
            output = self._network(self._tensor(pre, "pre"), self._tensor(post, "post"))
        building = torch.sigmoid(output.localization[0, 0])
        damage = torch.softmax(output.damage[0], 0)
        return Prediction(building.cpu().numpy(), damage.cpu().numpy())

    def classify(self, pre: Image, post: Image) -> Classes:
        """The class of every pixel, ``(H, W)`` uint8: 0 background, 1..4 damage, by the fitted decision."""
        return class_raster(calibrate(self.predict(pre, post), self.decision), self.decision)

    def _tensor(self, image: Image, name: str) -> Tensor:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            what = f"is {image.dtype} {image.shape}, not uint8 (H, W, 3)"
            raise SiameseError(what, where=f"{name} image", fix="give it as RGB, 8 bits a band")
        tensor = torch.from_numpy(np.ascontiguousarray(image)).to(self.device)
        return tensor.permute(2, 0, 1)[None].to(torch.float32) / 255
