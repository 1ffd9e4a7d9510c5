"""Helpers for images with any number of bands: checks for networks, OpenCV operations, and display."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from siamese.errors import SiameseError

Image = npt.NDArray[np.uint8]

_AT_ONCE = 4


def check_bands(scene: str, found: tuple[int, int], taken: tuple[int, int]) -> None:
    """Refuses a scene that a network cannot take.

    Args:
        scene: Name of the scene.
        found: Bands of its pre and of its post image.
        taken: Bands that the network takes for each date.

    Raises:
        SiameseError: The numbers of bands differ.
    """
    if found != taken:
        what = f"has bands {found[0]} before and {found[1]} after; this network takes {taken[0]} and {taken[1]}"
        fix = "leave it out, or use a network of these bands (network.bands; post_bands with relation: asymmetric)"
        raise SiameseError(what, where=scene, fix=fix)


def by_fours(image: Image, change: Callable[[Image], npt.ArrayLike]) -> Image:
    """Applies an OpenCV function to an image with any number of bands, up to four bands at a time.

    OpenCV returns an image of one band without its last axis, and warps at most four bands at once.

    Args:
        image: ``(H, W, bands)``.
        change: Called with up to four bands, ``(H, W, n)``; returns as many, always of the same size.

    Returns:
        ``(h, w, bands)``.
    """
    bands = image.shape[2]
    groups = [image]
    if bands > _AT_ONCE:
        starts = range(0, bands, _AT_ONCE)
        groups = [np.ascontiguousarray(image[..., start : start + _AT_ONCE]) for start in starts]
    parts = [np.atleast_3d(np.asarray(change(group), np.uint8)) for group in groups]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def shown(image: Image) -> Image:
    """Converts an image to three bands for display.

    Args:
        image: ``(H, W, bands)``.

    Returns:
        ``(H, W, 3)``: the first three bands as red, green and blue; with fewer than three, the first one as grey.
    """
    if image.shape[2] < 3:
        return image[..., :1].repeat(3, axis=2)
    return np.ascontiguousarray(image[..., :3])
