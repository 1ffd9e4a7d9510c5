"""Finds ground that cannot be judged although both dates have pixels there: cloud, haze, saturation, blur and the like.

Each date is measured in cells of :data:`CELL_PX` pixels, with the cells around them. Most rules compare the dates, as a
white roof, a lake or a desert looks the same in both, whereas a cloud does not. Thresholds were set on the real scenes
of xBD, where the rules mark next to nothing, and on copies of them with known haze, blur and noise
(`benchmarks/obscured.py`). The rules are meant for 8-bit imagery of about 0.3 to 1 m; they look at all bands. Where the
dates come from different sensors, such as colour and radar, nothing but missing data is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from siamese.mapping.blocks import POST_MISSING, PRE_MISSING, Bytes, missing_reasons
from siamese.mapping.mosaic import Image, Mask
from siamese.mapping.reasons import Codes, Reason

CELL_PX: Final = 32
"""Side of the cells, which lie from the window's corner on."""
_AROUND: Final = 3
"""Cells, across and down, that are measured together."""
_FAR_PX: Final = 8
"""Distance at which pixels of a sharp image differ much more than at a distance of one."""
_LEAST_VALID: Final = 0.25
_NONE: Final = 1e-6

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Look:
    """What a date looks like; ``(rows, columns)`` of cells, each measured with the cells around it.

    Attributes:
        valid: Share of valid pixels.
        mean: Mean brightness, 0..255.
        deviation: Standard deviation of the brightness.
        least: Mean of the lowest band.
        colour: Mean difference of highest and lowest band.
        white: Share of pixels that are 250 or more in all bands.
        dark: Share of pixels that are below 70 in some band.
        fine: Mean squared difference of neighbouring pixels.
        coarse: The same of pixels :data:`_FAR_PX` apart.
    """

    valid: Floats
    mean: Floats
    deviation: Floats
    least: Floats
    colour: Floats
    white: Floats
    dark: Floats
    fine: Floats
    coarse: Floats

    @property
    def fineness(self) -> Floats:
        """Ratio of fine to coarse differences: about .02 in blurred images, .06 to .7 in sharp ones, 1 in noise."""
        return np.asarray(self.fine / np.maximum(self.coarse, _NONE), np.float32)


def find_obscured(pre: Image, post: Image, unseen: Bytes) -> tuple[Codes, Mask]:
    """Finds why the pixels of a window cannot be judged.

    Args:
        pre: ``(h, w, bands)``.
        post: ``(h, w, bands)``, of the same ground.
        unseen: ``(h, w)``, see :class:`siamese.mapping.blocks.Block`.

    Returns:
        ``(h, w)`` codes of :class:`siamese.mapping.reasons.Reason`, and ``(h, w)`` where it is the pre image that
        cannot be judged.
    """
    missing = missing_reasons(unseen)
    size = unseen.shape
    if min(size) < 2 * CELL_PX or pre.shape != post.shape or (missing > 0).all():
        return missing, np.zeros(size, bool)
    seen = [unseen & bit == 0 for bit in (PRE_MISSING, POST_MISSING)]
    before, after = (measure(image, valid) for image, valid in zip((pre, post), seen, strict=True))
    first, second = judge(before, after), judge(after, before)
    same = _alike(pre, post, seen[0] & seen[1], before, after)
    codes = np.maximum(np.maximum(first, second), np.where(same, np.uint8(Reason.ONE_DATE), np.uint8(0)))
    return np.maximum(_spread(codes, size), missing), _spread(first, size) > 0


def measure(image: Image, valid: Mask) -> Look:
    """Measures a date.

    Args:
        image: ``(h, w, bands)`` uint8.
        valid: ``(h, w)``.
    """
    weight = valid.astype(np.float32)
    bands = cv2.split(np.ascontiguousarray(image))
    least, most = bands[0], bands[0]
    for band in bands[1:]:
        least, most = cv2.min(least, band), cv2.max(most, band)
    grey = _grey(image)
    share = _cells(weight)

    def mean(values: npt.NDArray[np.generic]) -> Floats:
        return np.asarray(_cells(values.astype(np.float32) * weight) / np.maximum(share, _NONE), np.float32)

    brightness = mean(grey)
    return Look(
        valid=share,
        mean=brightness,
        deviation=np.sqrt(np.maximum(mean(grey * grey) - brightness**2, 0)),
        least=mean(least),
        colour=mean(cv2.subtract(most, least)),
        white=mean(least >= 250),
        dark=mean(least < 70),
        fine=_differences(grey, weight, 1),
        coarse=_differences(grey, weight, _FAR_PX),
    )


def judge(one: Look, other: Look) -> npt.NDArray[np.uint8]:
    """Returns why each cell of a date cannot be judged: ``(rows, columns)`` codes.

    Args:
        one: The date.
        other: The other date, which it is compared with where both have pixels.
    """
    known = one.valid >= _LEAST_VALID
    both = known & (other.valid >= _LEAST_VALID)
    brighter = one.mean - other.mean
    sharp_there = (other.fineness >= 0.055) & (other.deviation >= 6)
    textured = other.deviation >= 6
    flatter = textured & (one.deviation <= 0.65 * other.deviation) & (one.fine <= 0.5 * other.fine)
    rules = {
        Reason.UNLIKE_TRAINING: known & (one.fineness >= 0.9) & (one.deviation >= 30),
        Reason.SHADOW: (known & (one.mean <= 5))
        | (both & (one.mean <= 25) & (one.mean <= 0.35 * other.mean) & flatter),
        Reason.BLURRED: (both & sharp_there & (one.fineness <= 0.033) & (one.deviation >= 3))
        | (known & (one.fineness <= 0.022) & (one.deviation >= 8)),
        Reason.HAZE: both & (brighter >= 35) & (one.least >= 110) & (one.dark <= 0.02) & flatter,
        Reason.SATURATED: (both & (one.white >= 0.8) & (other.white <= 0.3)) | (known & (one.white >= 0.995)),
        Reason.CLOUD: both & (brighter >= 60) & (one.least >= 165) & (one.colour <= 35) & (one.white < 0.8),
    }
    codes = np.zeros(known.shape, np.uint8)
    for reason, marked in sorted(rules.items()):
        codes[_wide(marked)] = reason
    return codes


def _alike(pre: Image, post: Image, valid: Mask, before: Look, after: Look) -> Mask:
    """Returns the cells in which both dates are one picture, perhaps encoded twice."""
    weight = valid.astype(np.float32)
    share = _cells(weight)
    grey = (_grey(pre) - _grey(post)) ** 2
    colour = _grey(cv2.absdiff(pre, post).astype(np.float32) ** 2)
    apart, changed = (_cells(off * weight) / np.maximum(share, _NONE) for off in (grey, colour))
    spread = before.deviation**2
    textured = (before.deviation >= 6) & (after.deviation >= 6)
    # JPEG changes colours more than brightness.
    same = (apart <= 0.04 * spread) & (apart <= 9) & (changed <= 0.1 * spread)
    return _wide((share >= _LEAST_VALID) & textured & same)


def _grey(image: npt.NDArray[np.generic]) -> Floats:
    return np.asarray(cv2.transform(image.astype(np.float32), np.full((1, image.shape[2]), 1 / image.shape[2])))


def _differences(grey: Floats, weight: Floats, distance: int) -> Floats:
    total, count = np.zeros_like(grey), np.zeros_like(grey)
    for here, there in (
        (np.s_[:, :-distance], np.s_[:, distance:]),
        (np.s_[:-distance], np.s_[distance:]),
    ):
        both = weight[here] * weight[there]
        total[here] += (grey[there] - grey[here]) ** 2 * both
        count[here] += both
    return np.asarray(_cells(total) / np.maximum(_cells(count), _NONE), np.float32)


def _cells(values: Floats) -> Floats:
    """Returns means over cells and those around them; beyond the window there is nothing."""
    height, width = values.shape
    down, right = -height % CELL_PX, -width % CELL_PX
    if down or right:
        padded = cv2.copyMakeBorder(values, 0, down, 0, right, cv2.BORDER_CONSTANT, value=0)
        values = np.asarray(padded, np.float32)
    rows, cols = values.shape[0] // CELL_PX, values.shape[1] // CELL_PX
    own = cv2.resize(values, (cols, rows), interpolation=cv2.INTER_AREA)
    around = cv2.boxFilter(own, -1, (_AROUND, _AROUND), normalize=True, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(around, np.float32)


def _wide(marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Drops marks that are not at least two cells wide and high."""
    square = np.ones((2, 2), np.uint8)
    # A square of even size needs opposite anchors, or the result would move by a cell.
    left = cv2.erode(marked.astype(np.uint8), square, anchor=(1, 1), borderValue=0)
    return np.asarray(cv2.dilate(left, square, anchor=(0, 0), borderValue=0), bool)


def _spread(cells: npt.NDArray[np.generic], size: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    whole = np.repeat(np.repeat(cells.astype(np.uint8), CELL_PX, axis=0), CELL_PX, axis=1)
    return whole[: size[0], : size[1]]
