"""The interface between a predictor and the backend that runs its network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class BackendError(Exception):
    """Raised when a backend cannot run this network on this machine; another backend can."""


@dataclass(frozen=True)
class Answer:
    """The probabilities that a network predicts for one pair.

    Attributes:
        building: ``(H, W)`` float32, probability that the pixel is building.
        damage: Returns ``(4, H, W)`` float32, probability of each damage class given that it is. A network with
            ``localization: pre`` processes the post image only when this is called.
    """

    building: Floats
    damage: Callable[[], Floats]


class Backend(Protocol):
    """Runs one network; any number of threads may call it."""

    @property
    def name(self) -> str:
        """Human-readable description of the backend and how it computes."""

    def ask(self, pre: Image, post: Image, disaster: int) -> Answer:
        """Returns probabilities for one pair.

        Args:
            pre: ``(H, W, bands)`` uint8 of any size.
            post: The same after the disaster, with its own number of bands.
            disaster: Index in :data:`siamese.classes.DISASTER_TYPES`.

        Raises:
            BackendError: The backend cannot run the network.
        """
