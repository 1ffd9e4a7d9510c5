"""Proposes pairs of images that may be twins, cheaply and without comparing every image with every other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import faiss
import numpy as np
from numpy.typing import NDArray

from siamese.duplicates.fingerprint import Fingerprint, Floats, mirrored, rooted

_NEIGHBOURS: Final = 8
"""Nearest features looked up for each feature."""
_FEATURE_SIMILARITY: Final = 0.85
"""Cosine of two RootSIFT descriptors, at least, to count as a vote."""
_VOTERS: Final = 160
"""Features of each image that vote, the strongest of each of its parts."""
_VOTES: Final = 5
"""Votes that make a pair a candidate."""
_WHOLE_PX: Final = 16
"""Side of the picture by which images are compared as wholes."""
_WHOLE_SIMILARITY: Final = 0.94
_WHOLE_NEIGHBOURS: Final = 8
_MOST: Final = 12
"""Candidates kept of each image, those with the most votes."""
_EXACT: Final = 20_000
"""Up to so many vectors are searched exhaustively."""
_PROBES: Final = 6
"""Inverted lists searched for each feature."""
_SEED: Final = 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """Two images that may be twins."""

    one: int
    other: int
    """Positions of the images, ``one`` below ``other``."""
    mirrored: bool
    turns: int | None
    """Quarter turns by which ``one``, mirrored left-right first if it is, looks like ``other`` as a whole; None: their
    features are alike."""


def candidates(prints: Sequence[Fingerprint]) -> Iterator[Candidate]:
    """Proposes pairs that share local features, or that look alike as wholes in one of the eight symmetries.

    Each image costs one look-up of its features and of the eight views of its thumbnail in an index of all, so the
    work grows with the number of images to the power of 1.5 at most.

    Args:
        prints: The images.

    Yields:
        Candidates in order of position; a pair may come more than once, in different ways.
    """
    found: dict[tuple[int, int], list[Candidate]] = {}
    for candidate in (*_by_features(prints), *_as_wholes(prints)):
        found.setdefault((candidate.one, candidate.other), []).append(candidate)
    for pair in sorted(found):
        yield from found[pair]


def _by_features(prints: Sequence[Fingerprint]) -> Iterator[Candidate]:
    voters = [one.descriptors[:_VOTERS] for one in prints]
    owners = np.repeat(np.arange(len(prints)), [len(one) for one in voters])
    if not len(owners):
        return
    descriptors = np.concatenate(voters)
    search = _index(descriptors, rooted)
    for mirror in (False, True):
        votes: dict[tuple[int, int], int] = {}
        for start in range(0, len(descriptors), _BATCH):
            part = descriptors[start : start + _BATCH]
            similar, at = search(rooted(mirrored(part) if mirror else part), _NEIGHBOURS)
            mine = np.repeat(owners[start : start + len(part), None], at.shape[1], axis=1)
            good = (at >= 0) & (similar >= _FEATURE_SIMILARITY)
            theirs = owners[at[good]]
            pairs = np.sort(np.stack([mine[good], theirs], axis=1), axis=1)
            pairs, counts = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0, return_counts=True)
            for (one, other), count in zip(pairs.tolist(), counts.tolist(), strict=True):
                votes[one, other] = votes.get((one, other), 0) + count
        yield from (Candidate(one, other, mirror, None) for one, other in _strongest(votes))


_BATCH: Final = 65_536


def _strongest(votes: dict[tuple[int, int], int]) -> list[tuple[int, int]]:
    """Returns the pairs with enough votes that are among the strongest of either of their images."""
    taken: dict[int, int] = {}
    kept = []
    for pair in sorted((pair for pair in votes if votes[pair] >= _VOTES), key=lambda pair: (-votes[pair], pair)):
        ranks = [taken.get(image, 0) for image in pair]
        if min(ranks) < _MOST:
            kept.append(pair)
        for image in pair:
            taken[image] = taken.get(image, 0) + 1
    return kept


def _as_wholes(prints: Sequence[Fingerprint]) -> Iterator[Candidate]:
    pictures = np.stack([_whole(one) for one in prints])
    search = _index(pictures, _unit)
    for mirror in (False, True):
        for turns in range(4):
            views = np.rot90(pictures[:, :, ::-1] if mirror else pictures, turns, axes=(1, 2))
            similar, at = search(_unit(np.ascontiguousarray(views)), _WHOLE_NEIGHBOURS)
            for one, neighbour in np.argwhere((at >= 0) & (similar >= _WHOLE_SIMILARITY)).tolist():
                other = int(at[one, neighbour])
                if one < other:
                    yield Candidate(one, other, mirror, turns)


def _whole(print_: Fingerprint) -> Floats:
    grey = cv2.cvtColor(print_.small, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (_WHOLE_PX, _WHOLE_PX), interpolation=cv2.INTER_AREA), np.float32)


def _unit(pictures: Floats) -> Floats:
    flat = pictures.reshape(len(pictures), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.ascontiguousarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6))


Search = Callable[[Floats, int], tuple[Floats, NDArray[np.int64]]]


def _index(vectors: NDArray[Any], prepared: Callable[[NDArray[Any]], Floats]) -> Search:
    """Returns a search by cosine: exhaustive for few vectors, by inverted lists for many."""
    rng = np.random.default_rng(_SEED)
    first = prepared(vectors[:1])
    if len(vectors) <= _EXACT:
        index: Any = faiss.IndexFlatIP(first.shape[1])
    else:
        # Then finding the lists costs about as much as searching them.
        lists = round(math.sqrt(2 * _PROBES * len(vectors)))
        coarse = faiss.IndexFlatIP(first.shape[1])
        index = faiss.IndexIVFScalarQuantizer(
            coarse, first.shape[1], lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        sample = rng.choice(len(vectors), min(len(vectors), 32 * lists), replace=False)
        index.cp.niter, index.cp.seed, index.cp.min_points_per_centroid = 6, _SEED, 1
        index.train(prepared(vectors[np.sort(sample)]))
        index.nprobe = _PROBES
    for start in range(0, len(vectors), _BATCH):
        index.add(prepared(vectors[start : start + _BATCH]))

    def search(queries: Floats, count: int) -> tuple[Floats, NDArray[np.int64]]:
        similar, at = index.search(queries, count)
        return np.asarray(similar), np.asarray(at)

    return search
