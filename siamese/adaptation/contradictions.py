"""Labels that contradict each other: buildings that look the same, with opposite classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from siamese.classes import DAMAGE_CLASSES

_ALIKE: Final = 0.02
"""Squared distance, in squared lengths of a usual vector, below which two buildings look the same."""
_APART: Final = 2
"""Classes so far from each other contradict."""
_NAMED: Final = 3


def contradictions(along: npt.NDArray[np.float64], labels: Mapping[int, int], ids: Sequence[str]) -> tuple[str, ...]:
    """Describes pairs of labels that hardly can both be right; both count all the same.

    Args:
        along: ``(n, k)`` vectors along their main directions, of mean squared length 1.
        labels: Class by position.
        ids: Ids of the buildings.

    Returns:
        One line, or none.
    """
    places = np.array(sorted(labels))
    given = np.array([labels[int(place)] for place in places])
    told = []
    for number in range(len(places) - 1):
        later = along[places[number + 1 :]]
        near = ((later - along[places[number]]) ** 2).sum(axis=1) <= _ALIKE
        far = np.abs(given[number + 1 :] - given[number]) >= _APART
        told += [
            f"{ids[places[number]]} ({DAMAGE_CLASSES[given[number]]}) and {ids[places[other]]} "
            f"({DAMAGE_CLASSES[given[other]]})"
            for other in number + 1 + np.flatnonzero(near & far)
        ]
    if not told:
        return ()
    more = f" and {len(told) - _NAMED} more pairs" if len(told) > _NAMED else ""
    return (f"labels contradict each other, as these buildings look the same: {'; '.join(told[:_NAMED])}{more}",)
