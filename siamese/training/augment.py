"""Augments one crop: flips and rotations of all images, colours per date, misregistration of the post image only."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from siamese.classes import UNCLASSIFIED
from siamese.geo import by_fours
from siamese.learning.augment import Image, recoloured, turned
from siamese.params import TrainingParams


@dataclass(frozen=True)
class Crop:
    """A training example.

    Attributes:
        pre: ``(S, S, bands)`` uint8.
        post: The same after the disaster, with its own number of bands.
        mask: ``(S, S)`` uint8.
    """

    pre: Image
    post: Image
    mask: Image


def augment(crop: Crop, params: TrainingParams, rng: np.random.Generator) -> Crop:
    """Returns an augmented copy of a crop; the same state of ``rng`` gives the same bytes."""
    pre, post, mask = crop.pre, crop.post, crop.mask
    post = _misregistered(post, params, rng)
    if params.colour_jitter:
        pre, post = (recoloured(image, params.colour_jitter, rng) for image in (pre, post))
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    return Crop(*(turned(image, turns, flip=flip) for image in (pre, post, mask)))


def dilated(mask: Image, radius: int) -> Image:
    """Returns a mask in which buildings and ignored pixels are extended by ``radius`` pixels on every side.

    Only background is overwritten; where two buildings meet, the worse damage wins, and any damage wins over ignored.
    """
    if not radius:
        return mask
    kernel = np.ones((2 * radius + 1,) * 2, np.uint8)
    ignored = mask == UNCLASSIFIED
    buildings = cv2.dilate(np.where(ignored, np.uint8(0), mask), kernel)
    unknown = cv2.dilate(ignored.astype(np.uint8), kernel) * np.uint8(UNCLASSIFIED)
    grown = np.where(buildings > 0, buildings, unknown)
    return np.asarray(np.where(mask > 0, mask, grown), np.uint8)


def _misregistered(image: Image, params: TrainingParams, rng: np.random.Generator) -> Image:
    """Shifts, rotates and scales the post image slightly, as the third-placed solution of the xView2 challenge did."""
    shift = rng.uniform(-params.post_shift_px, params.post_shift_px, 2)
    angle = rng.uniform(-params.post_rotate_deg, params.post_rotate_deg)
    scale = 1 + rng.uniform(-params.post_scale, params.post_scale)
    if rng.random() < 0.5:
        return image
    height, width = image.shape[:2]
    matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale), np.float64)
    matrix[:, 2] += shift

    def moved(bands: Image) -> cv2.typing.MatLike:
        return cv2.warpAffine(bands, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)

    return by_fours(image, moved)
