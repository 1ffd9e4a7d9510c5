"""Turns probabilities into buildings and damage classes by thresholds and votes, and calibrates the probabilities.

A building consists of a core, where the network is confident, and the surrounding pixels that may be building. So
faint patches are dropped, and neighbours that touch stay separate.

Training and the vote favour rare classes, as required by the harmonic mean of their F1. Calibration undoes that bias
in the reported probabilities; it changes no class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from siamese.model.rounding import Scale, decode_damage, encode_damage, scale

_TINY = np.float32(1e-6)

Floats = npt.NDArray[np.float32]
Classes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Probabilities:
    """The probabilities that a network predicts for one pair.

    Attributes:
        building: ``(H, W)`` float32, probability that the pixel is building.
        damage: ``(4, H, W)`` float32, probability of each damage class given that it is; sums to 1.
    """

    building: Floats
    damage: Floats

    def without(self, unseen: npt.NDArray[np.bool_] | None) -> Probabilities:
        """Returns a copy with no building wherever ``(H, W)`` marks pixels without data."""
        return self if unseen is None else Probabilities(np.where(unseen, np.float32(0), self.building), self.damage)


@dataclass(frozen=True)
class Decided:
    """The outcome of a decision on one pair.

    Attributes:
        classes: ``(H, W)`` uint8: 0 background, 1..4 damage class.
        buildings: ``(H, W)`` int32: 0 background, otherwise the number of the building, starting at 1.
    """

    classes: Classes
    buildings: Numbers


Temperature = Annotated[float, Field(gt=0, le=100)]
Bias = Annotated[float, Field(ge=-10, le=10)]


class Decision(BaseModel):
    """Parameters that turn probabilities into classes; fitted on the validation split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    building_temperature: Temperature = Field(
        1.0, description="Divides the logit of building, so that probabilities can be taken at their word."
    )
    damage_temperature: Temperature = Field(
        1.0, description="Divides the log-probability of each damage class, before its bias and the softmax."
    )
    damage_biases: tuple[Bias, Bias, Bias, Bias] = Field(
        (0.0, 0.0, 0.0, 0.0), description="Added to the log-probability of each damage class."
    )
    building: float = Field(0.5, ge=0, le=1, description="A pixel is building from this probability (uncalibrated).")
    damaged_building: float = Field(0.5, ge=0, le=1, description="The same, where damage is more likely than not.")
    building_peak: float = Field(
        0.0,
        ge=0,
        le=1,
        description="A building's core is an 8-connected component of building pixels that reach this probability.",
    )
    growth_px: int = Field(
        16,
        ge=0,
        le=256,
        description="A building is a core and the building pixels that are reached from it in at most so many steps, "
        "before they are from another.",
    )
    vote_temperature: Temperature = Field(
        1.0, description="Divides the log-probability of each damage class in a vote, so that weights tell alike."
    )
    class_weights: tuple[float, float, float, float] = Field(
        (1.0, 1.0, 1.0, 1.0), description="Weight of each damage class in a building's vote."
    )
    per_building: bool = Field(True, description="One class for each building, by vote of its pixels.")
    minimum_px: int = Field(0, ge=0, description="Smaller cores are discarded.")


def calibrate(prediction: Probabilities, decision: Decision) -> Probabilities:
    """Returns the prediction calibrated with the temperatures and biases of a decision.

    Temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks"), for damage with a bias for each
    class (Alexandari et al. 2020, "Maximum Likelihood with Bias-Corrected Calibration"), because training that weights
    rare classes more makes them appear more likely than they are.

    Args:
        prediction: Probabilities as the network returned them.
        decision: Supplies the temperatures and biases.
    """
    building, damage = prediction.building, prediction.damage
    if decision.building_temperature != 1:
        certain = np.clip(building, _TINY, 1 - _TINY)
        logit = np.log(certain) - np.log1p(-certain)
        building = (1 / (1 + np.exp(-logit / np.float32(decision.building_temperature)))).astype(np.float32)
    return Probabilities(building, _scaled(damage, decision.damage_temperature, decision.damage_biases))


def least_building(decision: Decision) -> float:
    """Returns the building probability below which, if it holds for the whole image, no pixel is building."""
    return max(min(decision.building, decision.damaged_building), decision.building_peak)


def damage_from(decision: Decision) -> float:
    """Returns the building probability from which a pixel's damage is kept; no pixel below it can become building."""
    return min(decision.building, decision.damaged_building) / 2


def building_scale(decision: Decision) -> Scale:
    """Returns the quantization scale of the building probability, with the decision's thresholds on step borders."""
    return scale(decision.building, decision.damaged_building, decision.building_peak)


def rounded(prediction: Probabilities, decision: Decision) -> Probabilities:
    """Returns the prediction quantized to the steps in which maps store it (:mod:`siamese.model.rounding`).

    Args:
        prediction: Probabilities as the network returned them.
        decision: Damage is set to 0 where no pixel can become building under it.
    """
    steps = building_scale(decision)
    building = steps.decode(steps.encode(prediction.building))
    likely = np.flatnonzero(building >= np.float32(damage_from(decision)))
    raw, damage = prediction.damage.reshape(4, -1), np.zeros((4, building.size), np.float32)
    damage[:, likely] = decode_damage(encode_damage(raw.take(likely, axis=1)))
    return Probabilities(building, damage.reshape(prediction.damage.shape))


def decide(prediction: Probabilities, decision: Decision) -> Decided:
    """Finds buildings and the class of every pixel, from rounded probabilities so that a map yields the same result.

    Args:
        prediction: Probabilities as the network returned them.
        decision: Supplies the thresholds and weights.
    """
    prediction = rounded(prediction, decision)
    count, buildings = number_buildings(prediction, decision)
    mask = buildings > 0
    classes = np.zeros(mask.shape, np.uint8)
    inside = pixel_votes(prediction.damage[:, mask], decision)
    weights = np.asarray(decision.class_weights)[:, None]
    if decision.per_building:
        number = buildings[mask]
        votes = np.stack([np.bincount(number, given, count + 1) for given in inside])
        classes[mask] = (votes * weights).argmax(0)[number] + 1
    else:
        classes[mask] = (inside * weights).argmax(0) + 1
    return Decided(classes, buildings)


def class_raster(prediction: Probabilities, decision: Decision) -> Classes:
    """Returns the class of every pixel, as :func:`decide` computes it."""
    return decide(prediction, decision).classes


def number_buildings(prediction: Probabilities, decision: Decision) -> tuple[int, Numbers]:
    """Numbers the buildings: regions that grow from cores above a high threshold over pixels above a low one.

    Combines hysteresis thresholding (Canny 1986, "A Computational Approach to Edge Detection") and the separation of
    touching objects by markers, as in a watershed (Meyer & Beucher 1990, "Morphological segmentation"): low thresholds
    capture whole buildings, cores keep faint patches off the map and neighbours apart.

    Args:
        prediction: Probabilities as the network returned them.
        decision: Supplies the thresholds.

    Returns:
        How many there are, and ``(H, W)`` int32: 0 background, otherwise the building's number, starting at 1, in
        row-major order of the first pixels of their cores.
    """
    mask = building_mask(prediction, decision)
    core = mask & at_peak(prediction.building, decision)
    count, found = cv2.connectedComponents(core.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    places = np.flatnonzero(found)[::-1]
    labels = found.ravel()[places]
    first = np.zeros(count, np.int64)
    first[labels] = places  # Of duplicate assignments the last one wins, which is the first pixel.
    numbers = numbered_by_place(np.bincount(labels, minlength=count), first, decision.minimum_px)
    return int(numbers.max()), grow(numbers[found], mask, decision.growth_px)


def numbered_by_place(pixels: npt.NDArray[np.int64], first: npt.NDArray[np.int64], minimum_px: int) -> Numbers:
    """Numbers components by position, independent of how the scene or map is tiled.

    Args:
        pixels: ``(n,)`` pixel count of each component.
        first: ``(n,)`` row-major index of each component's first pixel.
        minimum_px: Smaller components get no number.

    Returns:
        ``(n,)`` int32: numbers from 1 in order of first pixels; 0 for components that are too small or have no pixel.
    """
    kept = np.flatnonzero(pixels >= max(1, minimum_px))
    numbers = np.zeros(len(pixels), np.int32)
    numbers[kept[np.argsort(first[kept])]] = np.arange(1, 1 + len(kept))
    return numbers


def grow(cores: Numbers, mask: npt.NDArray[np.bool_], steps: int) -> Numbers:
    """Assigns each pixel of a mask the number of the core that reaches it in the fewest steps within the mask.

    Steps alternate between all eight neighbours and the four nearest of them, so that growth is about equal in every
    direction. Where two cores reach a pixel in the same step, the later one wins.

    Args:
        cores: ``(H, W)`` int32, 0 where there is none.
        mask: ``(H, W)``, where cores may grow.
        steps: Maximum number of steps.

    Returns:
        ``(H, W)`` int32: 0 where no core reaches.
    """
    around = np.pad(cores, 1)
    grown, width = around.reshape(-1), around.shape[1]
    free = np.flatnonzero(np.pad(mask, 1).reshape(-1) & (grown == 0))
    edges = (-width, -1, 1, width)
    corners = (-width - 1, -width + 1, width - 1, width + 1)
    for step in range(steps):
        over_corners = step % 2 == 0
        reached = np.zeros(len(free), np.int32)
        for offset in edges + corners if over_corners else edges:
            np.maximum(reached, grown[free + offset], out=reached)
        new = reached > 0
        if over_corners and not new.any():
            break
        grown[free[new]] = reached[new]
        free = free[~new]
    return around[1:-1, 1:-1].copy()


def pixel_votes(damage: Floats, decision: Decision) -> Floats:
    """Returns each pixel's vote for each class, before the class weights.

    A network trained for long is overconfident, so the weights of rare classes would have little effect; applying its
    temperature makes them about equally effective for any network.

    Args:
        damage: ``(4, ...)`` float32, as the network returned it.
        decision: Supplies the temperature.

    Returns:
        The same shape; sums to 1.
    """
    return _scaled(damage, decision.vote_temperature, (0.0, 0.0, 0.0, 0.0))


def building_mask(prediction: Probabilities, decision: Decision) -> npt.NDArray[np.bool_]:
    """Returns ``(H, W)`` bool: which pixels are building, provided a core is near."""
    damaged = prediction.damage[0] < 0.5
    threshold = np.where(damaged, np.float32(decision.damaged_building), np.float32(decision.building))
    mask: npt.NDArray[np.bool_] = prediction.building >= threshold
    return mask


def at_peak(building: Floats, decision: Decision) -> npt.NDArray[np.bool_]:
    """Returns which pixels are confident enough to belong to a core."""
    sure: npt.NDArray[np.bool_] = building >= np.float32(decision.building_peak)
    return sure


def _scaled(damage: Floats, temperature: float, biases: tuple[float, float, float, float]) -> Floats:
    """Divides the logarithms of probabilities ``(4, ...)`` by a temperature and adds a bias for each class."""
    if temperature == 1 and not any(biases):
        return damage
    factors = np.exp(np.asarray(biases, np.float32)).reshape(-1, *[1] * (damage.ndim - 1))
    scaled = np.maximum(damage, _TINY) ** np.float32(1 / temperature) * factors
    return np.asarray(scaled / scaled.sum(0), np.float32)
