"""The official xView2 metric, exactly, as counts that are additive over scenes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from siamese.classes import DAMAGE_CLASSES
from siamese.errors import SiameseError
from siamese.manifests import Scores

EPSILON: Final = 1e-6
"""Added to each F1 in the harmonic mean, so a perfect damage F1 is 1.000001 and the worst is 0.000001."""

LOCALIZATION_WEIGHT: Final = 0.3
DAMAGE_WEIGHT: Final = 0.7

Raster = NDArray[np.uint8]


class Tally(BaseModel):
    """True positives, false positives and false negatives of one class; additive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tp: int = Field(0, ge=0)
    fp: int = Field(0, ge=0)
    fn: int = Field(0, ge=0)

    @property
    def support(self) -> int:
        """Number of true instances."""
        return self.tp + self.fn

    @property
    def precision(self) -> float:
        """Share of detections that are true; 0 if nothing true was found."""
        return self.tp / (self.tp + self.fp) if self.tp else 0.0

    @property
    def recall(self) -> float:
        """Share of true instances that were found; 0 if nothing true was found."""
        return self.tp / (self.tp + self.fn) if self.tp else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0, never NaN, if nothing true was found."""
        return 2 * self.precision * self.recall / (self.precision + self.recall) if self.tp else 0.0

    def __add__(self, other: Self) -> Self:
        return type(self)(tp=self.tp + other.tp, fp=self.fp + other.fp, fn=self.fn + other.fn)


class Counts(BaseModel):
    """Pixel counts behind the official score, of one scene or of many; additive, with ``Counts()`` as zero."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    localization: Tally = Tally()
    no_damage: Tally = Tally()
    minor_damage: Tally = Tally()
    major_damage: Tally = Tally()
    destroyed: Tally = Tally()

    @property
    def damage(self) -> Mapping[str, Tally]:
        """The damage classes in order of severity."""
        return {name: getattr(self, name) for name in DAMAGE_CLASSES}

    def __add__(self, other: Self) -> Self:
        names = type(self).model_fields
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def scores(self) -> Scores:
        """Returns the official figures: 0.3 · localization F1 + 0.7 · harmonic mean of the four damage F1."""
        damage = {name: tally.f1 for name, tally in self.damage.items()}
        damage_f1 = len(damage) / sum((f1 + EPSILON) ** -1 for f1 in damage.values())
        return Scores(
            score=LOCALIZATION_WEIGHT * self.localization.f1 + DAMAGE_WEIGHT * damage_f1,
            localization_f1=self.localization.f1,
            damage_f1=damage_f1,
            **{f"damage_f1_{name}": f1 for name, f1 in damage.items()},
        )


def count_scene(
    localization_prediction: Raster, damage_prediction: Raster, localization_target: Raster, damage_target: Raster
) -> Counts:
    """Counts one scene as the official scorer does.

    Damage is predicted only where localization predicts a building, and judged only where the damage target has one.
    So a false building outside the target affects only localization, and a missed one is only a false negative.

    Args:
        localization_prediction: (H, W) uint8, building where > 0.
        damage_prediction: (H, W) uint8 in 0..4.
        localization_target: (H, W) uint8, building where > 0.
        damage_target: (H, W) uint8 in 0..4, 0 where damage is not judged.

    Raises:
        SiameseError: The rasters differ in shape, or damage exceeds 4.

    Source:
        github.com/DIUx-xView/xView2_scoring, xview2_metrics.py at ea0793d (an earlier revision left out a class's
        false positives in scenes without that class).
    """
    rasters = (localization_prediction, damage_prediction, localization_target, damage_target)
    if len({raster.shape for raster in rasters}) != 1 or damage_target.ndim != 2:
        shapes = ", ".join(str(raster.shape) for raster in rasters)
        raise SiameseError(f"rasters of one scene differ in shape: {shapes}", fix="pass four of the same (H, W)")
    if damage_target.size and max(damage_prediction.max(), damage_target.max()) > len(DAMAGE_CLASSES):
        raise SiameseError("damage exceeds 4", fix="burn un-classified buildings as 1 in official targets")
    found, there = localization_prediction > 0, localization_target > 0
    both = np.count_nonzero(found & there)
    localization = Tally(tp=both, fp=np.count_nonzero(found) - both, fn=np.count_nonzero(there) - both)
    judged = np.flatnonzero(damage_target > 0)
    table = confusion(damage_target.ravel()[judged], damage_prediction.ravel()[judged] * found.ravel()[judged])
    return Counts(
        localization=localization,
        **{name: _tally(table, value) for value, name in enumerate(DAMAGE_CLASSES, start=1)},
    )


def confusion(target: Raster, prediction: Raster) -> NDArray[np.int64]:
    """Counts pairs of classes.

    Args:
        target: Any shape, uint8 in 0..4.
        prediction: The same shape, uint8 in 0..4.

    Returns:
        (5, 5): rows are the target's class, columns the prediction's; 0 is background.
    """
    side = len(DAMAGE_CLASSES) + 1
    pairs = target.ravel() * np.uint8(side) + prediction.ravel()
    return np.bincount(pairs, minlength=side * side).reshape(side, side)


def _tally(table: NDArray[np.int64], value: int) -> Tally:
    tp = int(table[value, value])
    return Tally(tp=tp, fp=int(table[:, value].sum()) - tp, fn=int(table[value].sum()) - tp)
