"""What a predictor asks of whatever runs its network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class BackendError(Exception):
    """A backend cannot run this network on this machine; another one can."""


@dataclass(frozen=True)
class Answer:
    """What a network says of one pair.

    Attributes:
        building: ``(H, W)`` float32, probability that the pixel is building.
        damage: Gives ``(4, H, W)`` float32, probability of each damage class if it is. A network with ``localization:
            pre`` looks at the post image only when this is called.
    """

    building: Floats
    damage: Callable[[], Floats]


class Backend(Protocol):
    """Runs one network; any number of threads may ask it."""

    @property
    def name(self) -> str:
        """What it is and how it calculates, for people."""

    def ask(self, pre: Image, post: Image, disaster: int) -> Answer:
        """Probabilities for one pair.

        Args:
            pre: ``(H, W, bands)`` uint8 of any size.
            post: The same after the disaster, with its own number of bands.
            disaster: Position in :data:`siamese.classes.DISASTER_TYPES`.

        Raises:
            BackendError: It cannot run the network.
        """
