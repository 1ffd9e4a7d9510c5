"""Finds the twins among described images: candidates first, then their confirmation, then groups."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from threadpoolctl import threadpool_limits

from siamese.duplicates.candidates import Candidate, candidates
from siamese.duplicates.confirm import SAME, Match, confirm
from siamese.duplicates.fingerprint import Fingerprint
from siamese.duplicates.kinds import kinds_of_change
from siamese.parallel import ordered_map

_AHEAD: Final = 64
"""Pairs that are looked at or wait to be taken, at most."""


class ImageName(BaseModel):
    """Which image it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Its path or address.")
    scene: str = Field(description="The scene that it belongs to; images of one scene are not compared.")
    date: Literal["pre", "post", ""] = Field("", description="Of an image of a scene.")
    sha256: str = Field(description="Of its bytes.")


class TwinPair(BaseModel):
    """Two images that show the same picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    one: ImageName
    other: ImageName
    kinds: tuple[str, ...] = Field(description="The changes that lead from one to the other.")
    confidence: float = Field(ge=0, le=1, description="0.5 at the limit of what counts as a twin, 1 for equal pixels.")
    alike: float = Field(description="Correlation of the aligned grey values.")
    fine: float = Field(description="Correlation of their fine structure.")
    overlap: float = Field(description="Share of the smaller image that both show.")
    features: int = Field(description="Local features that agree in geometry; 0 when compared as wholes.")
    transform: tuple[float, float, float, float, float, float] = Field(
        description="a b c d e f from (column, row) of the one image to the other."
    )


def find_pairs(images: Sequence[ImageName], prints: Sequence[Fingerprint]) -> Iterator[TwinPair]:
    """Finds every pair of images of different scenes that are twins.

    Args:
        images: The names of the images.
        prints: Their fingerprints.

    Yields:
        Each pair once: first the very same files, each with the first of its kind, then others in order of position.
    """
    yield from _same_files(images, prints)

    def apart(candidate: Candidate) -> bool:
        one, other = images[candidate.one], images[candidate.other]
        return one.scene != other.scene and one.sha256 != other.sha256

    def look(ways: Sequence[Candidate]) -> TwinPair | None:
        """Looks at the ways in which a pair may be alike, until one of them is."""
        one, other = ways[0].one, ways[0].other
        matches = (confirm(way, prints[one], prints[other]) for way in ways)
        match = next((match for match in matches if match and match.twins), None)
        return _pair(one, other, match, images, prints) if match else None

    wanted = filter(apart, candidates(prints))
    pairs = (tuple(ways) for _, ways in groupby(wanted, key=lambda way: (way.one, way.other)))
    # Products of such small matrices cost three times as much on two threads of BLAS, which wait for each other.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count(), "twins") as pool:
        yield from filter(None, ordered_map(pool, look, pairs, ahead=_AHEAD))


def group(pairs: Iterable[TwinPair]) -> tuple[tuple[str, ...], ...]:
    """Groups scenes that are twins of each other, directly or through others.

    Args:
        pairs: The pairs.

    Returns:
        The names of the scenes of each group, sorted; groups in order of their first name.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for pair in pairs:
        low, high = sorted((root(pair.one.scene), root(pair.other.scene)))
        parent[high] = low
    groups: dict[str, list[str]] = {}
    for name in sorted(parent):
        groups.setdefault(root(name), []).append(name)
    return tuple(tuple(members) for members in groups.values())


def _same_files(images: Sequence[ImageName], prints: Sequence[Fingerprint]) -> Iterator[TwinPair]:
    first: dict[str, int] = {}
    for other, image in enumerate(images):
        one = first.setdefault(image.sha256, other)
        if images[one].scene != image.scene:
            yield _pair(one, other, SAME, images, prints)


def _pair(one: int, other: int, match: Match, images: Sequence[ImageName], prints: Sequence[Fingerprint]) -> TwinPair:
    same = images[one].sha256 == images[other].sha256
    a, b, c, d, e, f = (round(float(value), 6) for value in match.transform.ravel())
    return TwinPair(
        one=images[one],
        other=images[other],
        kinds=kinds_of_change(match, prints[one], prints[other], same_file=same),
        confidence=round(match.confidence, 4),
        alike=round(match.alike, 4),
        fine=round(match.fine, 4),
        overlap=round(match.overlap, 4),
        features=match.inliers,
        transform=(a, b, c, d, e, f),
    )
