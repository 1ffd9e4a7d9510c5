"""Measures how well a network ranks labelled buildings by damage, independent of thresholds and votes.

The official score depends on a few large buildings and on where classes are cut; an area under the curve counts every
building once and needs no cut, so it distinguishes two settings with fewer training runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from sklearn.metrics import roc_auc_score

from siamese.classes import DAMAGE_CLASSES
from siamese.metrics import Buildings
from siamese.model.decision import Probabilities

Severities = tuple[tuple[float, ...], ...]
"""For each damage class, the predicted severity of each building labelled with it."""

NO_SEVERITIES: Severities = ((),) * len(DAMAGE_CLASSES)


def building_severities(prediction: Probabilities, buildings: Buildings) -> Severities:
    """Returns the expected class of each labelled building, 0 (no damage) to 3 (destroyed), averaged over its pixels.

    Args:
        prediction: A network's prediction for a scene.
        buildings: Labelled buildings; un-classified ones and those without a pixel are left out.
    """
    inside = np.flatnonzero(buildings.ids)
    expected = np.tensordot(np.arange(len(DAMAGE_CLASSES)), prediction.damage, 1).ravel()[inside]
    ids, count = buildings.ids.ravel()[inside] - 1, len(buildings.classes)
    pixels = np.bincount(ids, minlength=count)
    severity = np.bincount(ids, expected, count) / np.maximum(pixels, 1)
    there = pixels > 0
    return tuple(
        tuple(np.round(severity[there & (buildings.classes == number)], 5).tolist())
        for number in range(1, 1 + len(DAMAGE_CLASSES))
    )


def damage_auc(scenes: Iterable[Severities]) -> float | None:
    """Returns the mean area under curve of "worse than class k?", over the three k, of the buildings of all scenes.

    Returns None if for some k all buildings are on the same side.
    """
    classes: Sequence[Sequence[float]] = [sum(parts, ()) for parts in zip(NO_SEVERITIES, *scenes, strict=True)]
    truth = np.repeat(np.arange(len(classes)), [len(one) for one in classes])
    told = np.concatenate([np.asarray(one, float) for one in classes])
    cuts = [truth > number for number in range(len(classes) - 1)]
    if not all(0 < worse.sum() < len(worse) for worse in cuts):
        return None
    return float(np.mean([roc_auc_score(worse, told) for worse in cuts]))
