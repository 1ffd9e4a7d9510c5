"""Changes items at random without changing what they are, and makes new classes of images from old ones."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from siamese.learning.augment import recoloured, turned
from siamese.params.similarity import ItemKind

Image = NDArray[np.uint8]
_GRID = 5


def augmented(value: NDArray[Any], kind: ItemKind, strength: float, rng: np.random.Generator) -> NDArray[Any]:
    """Returns a changed copy of an item.

    Args:
        value: One item; see :data:`siamese.similarity.data.items.Values`.
        kind: What it is.
        strength: 0..1.
        rng: Source of randomness.
    """
    if not strength:
        return value
    match kind:
        case "image":
            return warped_at_random(value, strength, rng)
        case "series":
            return _jittered(value, strength, rng)
        case "vector":
            return np.asarray(value + rng.normal(0, 0.1 * strength, value.shape) * np.abs(value).mean(), np.float32)
        case "text":
            return _mistyped(value, strength, rng)


def warped_at_random(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Turns, scales, shears and shifts an image, and bends it smoothly; the colours of photographs change too."""
    side = image.shape[0]
    angle = np.radians(rng.normal(0, 12 * strength))
    scale = np.exp(rng.normal(0, 0.15 * strength, 2))
    shear = rng.normal(0, 0.2 * strength)
    shift = rng.normal(0, 0.06 * strength * side, 2)
    matrix = affine(angle, scale, shear, shift, side)
    columns, rows = np.meshgrid(np.arange(side, dtype=np.float32), np.arange(side, dtype=np.float32))
    bend = rng.normal(0, 0.04 * strength * side, (_GRID, _GRID, 2)).astype(np.float32)
    bend = np.asarray(cv2.resize(bend, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
    x = matrix[0, 0] * columns + matrix[0, 1] * rows + matrix[0, 2] + bend[..., 0]
    y = matrix[1, 0] * columns + matrix[1, 1] * rows + matrix[1, 2] + bend[..., 1]
    fill = background(image)
    found = cv2.remap(
        image, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT, borderValue=fill.tolist(),
    )  # fmt: skip
    same = np.asarray(found, np.uint8).reshape(image.shape)
    return recoloured(same, 0.3 * strength, rng) if image.shape[2] == 3 else same


def affine(
    angle: float, scale: NDArray[np.float64], shear: float, shift: NDArray[np.float64], side: int
) -> NDArray[np.float64]:
    """Returns the matrix ``(2, 3)`` from output to input pixels of a change about the image's centre."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[scale[0], shear], [0, scale[1]]])
    centre = np.full(2, (side - 1) / 2)
    return np.column_stack([linear, centre - linear @ centre + shift])


def background(image: Image) -> NDArray[np.uint8]:
    """Returns the median of an image's border, one value a band."""
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return np.asarray(np.median(edge, axis=0), np.uint8)


def warped_regularly(images: Image, count: int) -> list[Image]:
    """Returns versions of images ``(n, S, S, bands)`` under fixed small affine changes, the unchanged one first.

    Vectors averaged over them are less sensitive to how a person placed and slanted a drawing.

    Args:
        images: The images.
        count: Number of versions.
    """
    side = images.shape[1]
    rng = np.random.default_rng(0)
    found = [images]
    for _ in range(1, count):
        angle, shear = np.radians(rng.uniform(-12, 12)), rng.uniform(-0.15, 0.15)
        scale, shift = np.exp(rng.uniform(-0.12, 0.12, 2)), rng.uniform(-0.04, 0.04, 2) * side
        matrix = affine(angle, scale, shear, shift, side)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        found.append(
            np.stack(
                [
                    cv2.warpAffine(
                        image, matrix, (side, side), flags=flags,
                        borderMode=cv2.BORDER_CONSTANT, borderValue=background(image).tolist(),
                    ).reshape(image.shape)
                    for image in images
                ]
            )
        )  # fmt: skip
    return found


def turned_image(image: Image, number: int) -> Image:
    """Returns one of the eight turned and mirrored versions of an image; 0 is the image itself."""
    return turned(image, number % 4, flip=number >= 4)


def composed(one: Image, other: Image, way: int) -> Image:
    """Draws two images into one: on top of each other (0), side by side (1) or one above the other (2).

    Args:
        one: ``(S, S, bands)``, lines on a plain background.
        other: The same.
        way: 0, 1 or 2.
    """
    side = one.shape[0]
    if way == 0:
        farther = np.abs(one.astype(np.int16) - background(one)) >= np.abs(other.astype(np.int16) - background(other))
        return np.where(farther, one, other)
    half = side // 2
    sizes = ((half, side), (side - half, side)) if way == 1 else ((side, half), (side, side - half))
    parts = [
        cv2.resize(image, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], image.shape[2])
        for image, size in zip((one, other), sizes, strict=True)
    ]
    return np.concatenate(parts, axis=1 if way == 1 else 0)


def _jittered(series: NDArray[np.float32], strength: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Scales a series, adds noise, and stretches or shifts it in time; keeps its end where it was."""
    end = int(np.isfinite(series).all(0).sum())
    steps = np.arange(end)
    stretch, shift = np.exp(rng.normal(0, 0.1 * strength)), rng.normal(0, 0.05 * strength * end)
    at = np.clip((steps - end / 2) * stretch + end / 2 + shift, 0, end - 1)
    found = series.copy()
    for channel in found:
        channel[:end] = np.interp(at, steps, channel[:end].copy())
    found[:, :end] *= np.exp(rng.normal(0, 0.1 * strength))
    found[:, :end] += rng.normal(0, 0.1 * strength, (len(series), end)).astype(np.float32)
    return found


def _mistyped(text: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Drops, doubles, swaps or replaces some of the ASCII letters of a text."""
    data = list(bytes(text).rstrip(b"\0"))
    place = 0
    while place < len(data):
        if data[place] < 128 and rng.random() < 0.12 * strength:
            match int(rng.integers(4)):
                case 0:
                    del data[place]
                case 1:
                    data.insert(place, data[place])
                    place += 1
                case 2 if place + 1 < len(data) and data[place + 1] < 128:
                    data[place], data[place + 1] = data[place + 1], data[place]
                case _:
                    data[place] = int(rng.integers(97, 123))
        place += 1
    return np.frombuffer(bytes(data or [text[0]])[: len(text)].ljust(len(text), b"\0"), np.uint8)
