"""From probabilities to classes: thresholds, and one vote a building."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from siamese.classes import DAMAGE_CLASSES

Floats = npt.NDArray[np.float32]
Classes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Prediction:
    """What a network says of one pair.

    Attributes:
        building: ``(H, W)`` float32, probability that the pixel is building.
        damage: ``(4, H, W)`` float32, probability of each damage class if it is; sums to 1.
    """

    building: Floats
    damage: Floats


class Decision(BaseModel):
    """How probabilities become classes; fitted on the validation split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    building: float = Field(0.5, ge=0, le=1, description="A pixel is building from this probability.")
    damaged_building: float = Field(0.5, ge=0, le=1, description="The same where damage is likelier than not.")
    class_weights: tuple[float, float, float, float] = Field(
        (1.0, 1.0, 1.0, 1.0), description="Weight of each damage class in a building's vote."
    )
    per_building: bool = Field(True, description="One class for each 8-connected component, by vote of its pixels.")
    minimum_px: int = Field(0, ge=0, description="Smaller components are dropped.")


def class_raster(prediction: Prediction, decision: Decision) -> Classes:
    """The class of every pixel.

    Args:
        prediction: Probabilities.
        decision: Thresholds and weights.

    Returns:
        ``(H, W)`` uint8: 0 background, 1..4 damage class.
    """
    mask = building_mask(prediction, decision)
    classes = np.zeros(mask.shape, np.uint8)
    if not mask.any():
        return classes
    weights = np.asarray(decision.class_weights, np.float32)[:, None]
    inside = prediction.damage[:, mask] * weights
    if not decision.per_building:
        classes[mask] = inside.argmax(0) + 1
        return classes
    count, components = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    component = components[mask]
    votes = np.stack([np.bincount(component, inside[number], count) for number in range(len(DAMAGE_CLASSES))])
    winner = (votes.argmax(0) + 1).astype(np.uint8)
    if decision.minimum_px > 1:
        winner[np.bincount(component, minlength=count) < decision.minimum_px] = 0
    classes[mask] = winner[component]
    return classes


def building_mask(prediction: Prediction, decision: Decision) -> npt.NDArray[np.bool_]:
    """``(H, W)`` bool: which pixels are building."""
    damaged = prediction.damage[0] < 0.5
    threshold = np.where(damaged, np.float32(decision.damaged_building), np.float32(decision.building))
    mask: npt.NDArray[np.bool_] = prediction.building >= threshold
    return mask
