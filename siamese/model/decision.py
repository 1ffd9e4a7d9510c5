"""From probabilities to classes: calibration, thresholds, and one vote a building."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from siamese.classes import DAMAGE_CLASSES

_TINY = np.float32(1e-6)

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


Temperature = Annotated[float, Field(gt=0, le=100)]


class Decision(BaseModel):
    """How probabilities become classes; fitted on the validation split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    building_temperature: Temperature = Field(
        1.0, description="Divides the logit of building, so that probabilities can be taken at their word."
    )
    damage_temperatures: tuple[Temperature, Temperature, Temperature, Temperature] = Field(
        (1.0, 1.0, 1.0, 1.0), description="Each divides its damage class's log-probability, before the softmax."
    )
    building: float = Field(0.5, ge=0, le=1, description="A pixel is building from this probability.")
    damaged_building: float = Field(0.5, ge=0, le=1, description="The same where damage is likelier than not.")
    class_weights: tuple[float, float, float, float] = Field(
        (1.0, 1.0, 1.0, 1.0), description="Weight of each damage class in a building's vote."
    )
    per_building: bool = Field(True, description="One class for each 8-connected component, by vote of its pixels.")
    minimum_px: int = Field(0, ge=0, description="Smaller components are dropped.")


def calibrate(prediction: Prediction, decision: Decision) -> Prediction:
    """What a network says, with the temperatures of a decision (Guo et al. 2017, "On Calibration").

    Args:
        prediction: As the network gave it.
        decision: Its temperatures.
    """
    building, damage = prediction.building, prediction.damage
    if decision.building_temperature != 1:
        certain = np.clip(building, _TINY, 1 - _TINY)
        logit = np.log(certain) - np.log1p(-certain)
        building = (1 / (1 + np.exp(-logit / np.float32(decision.building_temperature)))).astype(np.float32)
    if decision.damage_temperatures != (1, 1, 1, 1):
        powers = 1 / np.asarray(decision.damage_temperatures, np.float32)
        scaled = np.maximum(damage, _TINY) ** powers[:, None, None]
        damage = scaled / scaled.sum(0)
    return Prediction(building, damage)


def least_building(decision: Decision) -> float:
    """Where the network's building probability, before calibration, is below this everywhere, nothing is building."""
    threshold = min(decision.building, decision.damaged_building)
    if not 0 < threshold < 1:
        return threshold
    scaled = math.log(threshold / (1 - threshold)) * decision.building_temperature
    # A little less, for what calibration rounds.
    return 0.999 / (1 + math.exp(-scaled))


def class_raster(prediction: Prediction, decision: Decision) -> Classes:
    """The class of every pixel.

    Args:
        prediction: Probabilities, calibrated.
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
