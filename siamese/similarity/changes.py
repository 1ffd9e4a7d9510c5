"""The verb ``changes``: which pairs of images, or which places of a series, differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from siamese.errors import SiameseError
from siamese.similarity.classify import threshold_of
from siamese.similarity.embedder import Embedder, Raw


class PairChange(BaseModel):
    """The answer about a pair of images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    changed: bool
    distance: float
    threshold: float


class SeriesChange(BaseModel):
    """One change in a series."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int = Field(ge=0, description="First step of the new regime.")
    distance: float = Field(description="Between the windows before and after it.")


def changed_pairs(
    embedder: Embedder,
    names: Sequence[str],
    before: Sequence[Raw],
    after: Sequence[Raw],
    *,
    threshold: float | None = None,
) -> list[PairChange]:
    """Decides for each pair whether it changed: farther apart than the threshold.

    Args:
        embedder: The model.
        names: Of the pairs.
        before: The first of each pair.
        after: The second of each pair.
        threshold: Distance above which a pair has changed; by default the model's.

    Raises:
        SiameseError: Something cannot be read, or there is no threshold.
    """
    limit = threshold_of(embedder, threshold)
    if not names:
        raise SiameseError("there is no pair", where="changes", fix="name at least one pair")
    second = len(embedder.network.branches) - 1
    distances = embedder.apart(embedder.embed(list(before)), embedder.embed(list(after), second))
    return [
        PairChange(name=name, changed=bool(distance > limit), distance=float(distance), threshold=limit)
        for name, distance in zip(names, distances, strict=True)
    ]


def series_changes(
    embedder: Embedder,
    series: NDArray[np.floating],
    *,
    window: int,
    stride: int = 1,
    threshold: float | None = None,
) -> tuple[list[SeriesChange], NDArray[np.float32]]:
    """Finds the steps at which a long series changes its regime.

    At each step the window before is compared with the window after. Where the distance is above the threshold and
    larger than at any other step within a window, there is a change.

    Args:
        embedder: A model of series.
        series: ``(channels, steps)`` or ``(steps,)``, finite.
        window: Steps in a window, at most those of the model's items.
        stride: Compare at every ``stride``-th step.
        threshold: By default the model's.

    Returns:
        The changes in order, and the distance at each step ``(steps,)``, NaN where windows do not fit or at steps left
        out.

    Raises:
        SiameseError: The series is shorter than two windows or not finite, or there is no threshold.
    """
    limit = threshold_of(embedder, threshold)
    values = np.atleast_2d(np.asarray(series, np.float32))
    steps = values.shape[1]
    if embedder.config.item_kind != "series" or not 2 <= window <= embedder.config.shape[1]:
        what = (
            f"a window of {window} steps does not fit a model of {embedder.config.item_kind}, {embedder.config.shape}"
        )
        raise SiameseError(what, where="changes", fix="choose a model of series and a window no longer than its items")
    if steps < 2 * window:
        what = f"has {steps} steps, fewer than two windows of {window}"
        raise SiameseError(what, where="series", fix="give a longer series or a shorter window")
    starts = np.arange(0, steps - window + 1, stride)
    vectors = embedder.embed([values[:, start : start + window] for start in starts])
    place = {int(start): number for number, start in enumerate(starts)}
    at = [int(start) for start in starts if start >= window and int(start) - window in place]
    curve = np.full(steps, np.nan, np.float32)
    if at:
        first = vectors[[place[step - window] for step in at]]
        curve[at] = embedder.apart(first, vectors[[place[step] for step in at]])
    return [SeriesChange(step=step, distance=float(curve[step])) for step in peaks(curve, limit, window)], curve


def peaks(curve: NDArray[np.floating], threshold: float, apart: int) -> list[int]:
    """Returns the places where a curve is above a threshold and highest within ``apart`` places, in order."""
    height = np.where(np.isfinite(curve), curve, -np.inf)
    found: list[int] = []
    while (best := int(height.argmax())) is not None and height[best] > threshold:
        found.append(best)
        height[max(0, best - apart) : best + apart + 1] = -np.inf
    return sorted(found)
