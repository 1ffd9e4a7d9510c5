"""Calibration: whether predictions with a probability of 0.8 are right 8 times in 10."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

BINS = 15


class ReliabilityBin(BaseModel):
    """Pixels whose confidence lies in one interval; additive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(0, ge=0)
    right: int = Field(0, ge=0, description="Of them, those where the network is right.")
    confidence_sum: float = Field(0.0, ge=0, description="Sum of their confidences.")

    @property
    def accuracy(self) -> float:
        """Share of pixels that are right; 0 for an empty bin."""
        return self.right / self.count if self.count else 0.0

    @property
    def confidence(self) -> float:
        """Mean confidence; 0 for an empty bin."""
        return self.confidence_sum / self.count if self.count else 0.0

    def __add__(self, other: Self) -> Self:
        return type(self)(
            count=self.count + other.count,
            right=self.right + other.right,
            confidence_sum=self.confidence_sum + other.confidence_sum,
        )


class Reliability(BaseModel):
    """Reliability diagram over equal-width bins of 0..1; additive, with ``Reliability()`` as zero."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bins: tuple[ReliabilityBin, ...] = (ReliabilityBin(),) * BINS

    def __add__(self, other: Self) -> Self:
        return type(self)(bins=tuple(mine + theirs for mine, theirs in zip(self.bins, other.bins, strict=True)))

    @property
    def expected_calibration_error(self) -> float:
        """Mean difference of confidence and accuracy, weighted by pixels (Guo et al. 2017); 0 without pixels."""
        count = sum(one.count for one in self.bins)
        distance = sum(one.count * abs(one.accuracy - one.confidence) for one in self.bins)
        return distance / count if count else 0.0


def count_reliability(confidence: NDArray[np.float32], right: NDArray[np.bool_]) -> Reliability:
    """Bins pixels by confidence.

    Args:
        confidence: (pixels,) in 0..1, the network's probability of being right.
        right: (pixels,) whether the network is right.
    """
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    hits = np.bincount(place[right], minlength=BINS)
    sums = np.bincount(place, weights=confidence, minlength=BINS)
    return Reliability(
        bins=tuple(
            ReliabilityBin(count=int(count), right=int(hit), confidence_sum=float(total))
            for count, hit, total in zip(counts, hits, sums, strict=True)
        )
    )
