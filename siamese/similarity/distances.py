"""Distances between vectors, as they are used once a network is trained; the smaller, the more alike."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from siamese.errors import SiameseError
from siamese.params.similarity import Distance
from siamese.similarity.encoders import SimilarityHead

Vectors = NDArray[np.float32]
_METRIC: dict[str, Literal["euclidean", "sqeuclidean", "cityblock", "cosine"]] = {
    "euclidean": "euclidean",
    "squared_euclidean": "sqeuclidean",
    "manhattan": "cityblock",
    "cosine": "cosine",
}
_ROWS = 256


def all_distances(
    one: Vectors, other: Vectors, distance: Distance, head: SimilarityHead | None = None
) -> NDArray[np.float32]:
    """Returns the distance of each of ``(n, dim)`` to each of ``(m, dim)``: ``(n, m)``.

    Args:
        one: Vectors.
        other: Vectors.
        distance: Which one; ``learned`` gives 1 minus the probability of being the same.
        head: The learned similarity.

    Raises:
        SiameseError: A vector is not finite, or all zeros where its direction counts.
    """
    for vectors in (one, other):
        check_vectors(vectors, distance)
    if distance != "learned":
        return np.asarray(cdist(one, other, _METRIC[distance]), np.float32)
    parts = [_learned(one[start : start + _ROWS, None], other[None], head) for start in range(0, len(one), _ROWS)]
    return np.concatenate(parts) if parts else np.empty((0, len(other)), np.float32)


def pair_distances(
    one: Vectors, other: Vectors, distance: Distance, head: SimilarityHead | None = None
) -> NDArray[np.float32]:
    """Returns the distance of each of ``(n, dim)`` to the one of ``(n, dim)`` in the same place: ``(n,)``.

    Raises:
        SiameseError: A vector is not finite, or all zeros where its direction counts.
    """
    for vectors in (one, other):
        check_vectors(vectors, distance)
    match distance:
        case "euclidean":
            found = np.linalg.norm(one - other, axis=1)
        case "squared_euclidean":
            found = np.square(one - other).sum(1)
        case "manhattan":
            found = np.abs(one - other).sum(1)
        case "cosine":
            lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
            found = 1 - (one * other).sum(1) / lengths
        case "learned":
            found = _learned(one, other, head)
    return np.asarray(found, np.float32)


def check_vectors(vectors: Vectors, distance: Distance) -> None:
    """Rejects vectors that have no distance.

    Raises:
        SiameseError: One is not finite, or all zeros where its direction counts.
    """
    bad = np.flatnonzero(~np.isfinite(vectors).all(1))
    if len(bad):
        raise SiameseError("holds a NaN or infinity", where=f"vector {bad[0]}", fix="leave that item out")
    if distance == "cosine":
        zero = np.flatnonzero(~vectors.any(1))
        if len(zero):
            fix = "leave that item out, or use the Euclidean distance"
            raise SiameseError("is all zeros, so it has no direction to compare", where=f"vector {zero[0]}", fix=fix)


def _learned(one: Vectors, other: Vectors, head: SimilarityHead | None) -> NDArray[np.float32]:
    if head is None:
        raise SiameseError("needs the model that learned it", where="distance learned", fix="choose another distance")
    with torch.inference_mode():
        logits = head(torch.from_numpy(np.ascontiguousarray(one)), torch.from_numpy(np.ascontiguousarray(other)))
        return np.asarray((1 - logits.sigmoid()).numpy(), np.float32)
