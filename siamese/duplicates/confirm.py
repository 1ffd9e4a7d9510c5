"""Confirms that two images are twins: their features agree in geometry, and then their pixels agree too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from siamese.duplicates.candidates import Candidate
from siamese.duplicates.fingerprint import Bytes, Fingerprint, Floats, mirrored, rooted

Matrix = NDArray[np.float64]

OVERLAP: Final = 0.8
"""Share of the smaller image, at least, that a twin shows too; less is a neighbour's edge."""
ALIKE: Final = 0.8
"""Correlation of the aligned images, at least."""
FINE: Final = 0.5
"""Correlation of their fine structure, at least: two calm seas are alike but for that."""
_INLIERS: Final = 8
_MATCH: Final = 0.8
"""Cosine of two RootSIFT descriptors, at least, to be compared in geometry."""
_REPROJECTION: Final = 0.008
"""Error of a feature's place, as a share of the image's longer side, at most."""
_STRETCH: Final = 2.5
"""Most that the scales of the two axes may differ."""
_FINE_PX: Final = 3.0
"""Structure above this many pixels of the thumbnail is not fine."""
_FLAT: Final = 1e-4
"""Product of two standard deviations in grey values below which an image shows nothing."""
_LEAST_PX: Final = 24
"""Side of the common part on the thumbnail that can still be compared."""


@dataclass(frozen=True, eq=False)
class Match:
    """How one image lies on another, and how well they agree."""

    transform: Matrix
    """(2, 3) from pixels of the one image to pixels of the other."""
    inliers: int
    """Features that agree in geometry; 0 if the images were compared as wholes."""
    alike: float
    """Correlation of the grey values, -1..1."""
    fine: float
    """Correlation of the fine structure, -1..1."""
    overlap: float
    """Share of the smaller image that both show."""
    covers: tuple[float, float]
    """Share of the one image that the other shows, and the reverse."""
    colour: float
    """Mean change of colour, in grey values 0..255, by the gain and offset of each channel."""

    @property
    def twins(self) -> bool:
        """Whether the images are twins."""
        return self.overlap >= OVERLAP and self.alike >= ALIKE and self.fine >= FINE

    @property
    def confidence(self) -> float:
        """From 0 to 1: the weaker of both correlations, each from its limit to 1."""
        return max(0.0, min((self.alike - ALIKE) / (1 - ALIKE), (self.fine - FINE) / (1 - FINE)) * 0.5 + 0.5)


SAME: Final = Match(np.eye(2, 3), 0, 1.0, 1.0, 1.0, (1.0, 1.0), 0.0)
"""The match of an image with itself."""


def confirm(candidate: Candidate, one: Fingerprint, other: Fingerprint) -> Match | None:
    """Aligns two images and compares them.

    Args:
        candidate: The pair, and in which way it may be alike.
        one: The first image.
        other: The second image.

    Returns:
        The match, whether or not they are twins; None if no alignment was found.
    """
    if candidate.turns is not None:
        return _compare(one, other, _turned(one, other, candidate.mirrored, candidate.turns), 0)
    aligned = _aligned(one, other, candidate.mirrored)
    return _compare(one, other, *aligned) if aligned else None


def _turned(one: Fingerprint, other: Fingerprint, mirror: bool, turns: int) -> Matrix:
    """Returns the transform that lays the whole of one image, mirrored and turned, on the whole of the other."""
    shares = np.array([[-1.0, 0, 1], [0, 1, 0], [0, 0, 1]]) if mirror else np.eye(3)
    # np.rot90 turns counter-clockwise: x' = y, y' = 1 - x.
    quarter = np.array([[0.0, 1, 0], [-1, 0, 1], [0, 0, 1]])
    shares = np.linalg.matrix_power(quarter, turns) @ shares
    return np.asarray(_scale(other.width, other.height) @ shares @ np.linalg.inv(_scale(one.width, one.height)))[:2]


def _aligned(one: Fingerprint, other: Fingerprint, mirror: bool) -> tuple[Matrix, int] | None:
    first = rooted(mirrored(one.descriptors) if mirror else one.descriptors)
    second = rooted(other.descriptors)
    if len(first) < _INLIERS or len(second) < _INLIERS:
        return None
    similar = first @ second.T
    mine, theirs = similar.argmax(axis=1), similar.argmax(axis=0)
    mutual = np.flatnonzero((theirs[mine] == np.arange(len(mine))) & (similar.max(axis=1) >= _MATCH))
    if len(mutual) < _INLIERS:
        return None
    source = one.points[mutual] * (one.width, one.height)
    target = other.points[mine[mutual]] * (other.width, other.height)
    reach = _REPROJECTION * max(other.width, other.height)
    cv2.setRNGSeed(1)
    found, inside = cv2.estimateAffine2D(
        source, target, method=cv2.RANSAC, ransacReprojThreshold=reach, maxIters=2000, confidence=0.999
    )
    if found is None or int(inside.sum()) < _INLIERS:
        return None
    stretch = np.linalg.svd(found[:, :2], compute_uv=False)
    if stretch[1] <= 0 or stretch[0] > _STRETCH * stretch[1] or (np.linalg.det(found[:, :2]) < 0) != mirror:
        return None
    return np.asarray(found, np.float64), int(inside.sum())


def _compare(one: Fingerprint, other: Fingerprint, transform: Matrix, inliers: int) -> Match | None:
    """Lays the coarser image's view on the finer one's grid and correlates what both show."""
    scale = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
    mine, theirs = (
        max(one.small.shape[:2]) / max(one.width, one.height),
        max(other.small.shape[:2]) / max(other.width, other.height),
    )
    # A pixel of one thumbnail covers this many of the other's: the coarser of both is what is compared.
    if mine < theirs * scale:
        return _swapped(_compare_on(other, one, _inverse(transform), inliers))
    return _compare_on(one, other, transform, inliers)


def _compare_on(one: Fingerprint, other: Fingerprint, transform: Matrix, inliers: int) -> Match | None:
    """Compares on the grid of the other's thumbnail, which is the coarser."""
    source, target = one.small, other.small
    height, width = target.shape[:2]
    between = _small(target, other) @ np.vstack([transform, [0, 0, 1]]) @ np.linalg.inv(_small(source, one))
    shrink = float(np.sqrt(abs(np.linalg.det(between[:2, :2]))))
    smooth = cv2.GaussianBlur(source, (0, 0), 0.5 / shrink) if shrink < 0.75 else source
    half = np.array([[1.0, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    centred = (half @ between @ np.linalg.inv(half))[:2]
    moved = cv2.warpAffine(smooth, centred, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    laid = np.asarray(moved, np.uint8)
    inside = cv2.warpAffine(np.full(source.shape[:2], 255, np.uint8), centred, (width, height)) > 250
    if inside.sum() < _LEAST_PX**2:
        return None
    shown = float(inside.mean())
    area = abs(float(np.linalg.det(between[:2, :2]))) * source.shape[0] * source.shape[1]
    covers = (min(1.0, float(inside.sum()) / area), shown)
    ours, theirs = (np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32) for image in (laid, target))
    inner = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0).astype(bool)
    return Match(
        transform=transform,
        inliers=inliers,
        alike=_correlation(ours, theirs, inside),
        fine=_correlation(_details(ours), _details(theirs), inner),
        overlap=max(covers),
        covers=covers,
        colour=_recoloured(laid, target, inside),
    )


def _swapped(match: Match | None) -> Match | None:
    if match is None:
        return None
    return Match(
        transform=_inverse(match.transform),
        inliers=match.inliers,
        alike=match.alike,
        fine=match.fine,
        overlap=match.overlap,
        covers=(match.covers[1], match.covers[0]),
        colour=match.colour,
    )


def _recoloured(one: Bytes, other: Bytes, where: NDArray[np.bool_]) -> float:
    a, b = (cv2.GaussianBlur(image, (0, 0), _FINE_PX)[where].astype(np.float64) for image in (one, other))
    gain = b.std(axis=0) / np.maximum(a.std(axis=0), 1e-3)
    return float(np.abs((a - a.mean(axis=0)) * gain + b.mean(axis=0) - a).mean())


def _details(grey: Floats) -> Floats:
    """Returns an image without what is coarser than a few pixels."""
    return np.asarray(grey - cv2.GaussianBlur(grey, (0, 0), _FINE_PX), np.float32)


def _correlation(one: Floats, other: Floats, where: NDArray[np.bool_]) -> float:
    a, b = one[where].astype(np.float64), other[where].astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    # Flat images show nothing by which they could be told apart or alike.
    spread = float(a.std() * b.std())
    return float((a * b).mean()) / spread if spread > _FLAT else 0.0


def _small(thumbnail: Bytes, of: Fingerprint) -> Matrix:
    return _scale(thumbnail.shape[1] / of.width, thumbnail.shape[0] / of.height)


def _scale(x: float, y: float) -> Matrix:
    return np.diag([x, y, 1.0])


def _inverse(transform: Matrix) -> Matrix:
    return np.asarray(np.linalg.inv(np.vstack([transform, [0, 0, 1]]))[:2])
