"""Estimates by blocks how far one picture of the ground is shifted against another, and where that can be trusted.

Orientation correlation (Fitch et al. 2002, "Orientation correlation"): pictures are compared by the direction of their
edges, which stays when light, season and colours change; plain phase correlation finds the shift of only a third of
xBD's pairs (`benchmarks/alignment.py`). A block's estimate is trusted when its peak is high and its neighbours agree,
as in AROSICS (Scheffler et al. 2017, "AROSICS: An Automated and Robust Open-Source Image Co-Registration Software").
Only as many blocks are read as a field of shifts needs, however large the map is.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft

from siamese.mapping.grid import Grid
from siamese.mapping.mosaic import Image, Mask
from siamese.parallel import ordered_map

BLOCK_PX: Final = 512
"""Side of the blocks that are compared."""
FURTHEST_PX: Final = 32
"""Larger shifts are not found."""
LEAST_PX: Final = 0.3
"""Smaller shifts are not applied: reading between pixels would cost more than it gains."""
_STEP: Final = 4
"""Shifts are applied in steps of a fourth of a pixel."""
_MOST_BLOCKS: Final = 10
"""Down and across."""
_LEAST_VALID: Final = 0.5
PEAK: Final = 0.1
"""Least response of a trusted block; pictures of different places reach .06, those of one place begin at .13."""
ALIKE: Final = 0.12
"""Response from which on a block shows that two pictures are of one place. Of 43 real xBD pairs all but a clouded one
have a block of .21 or more among four; blocks of different places reach .10 (`benchmarks/alignment.py`)."""
_AGREE_PX: Final = 1.5
"""Distance from the median of its neighbours that a trusted block may have."""
SHAPES_PX: Final = 12
"""Drawn shapes that lie further away are not found."""
_MATCH: Final = 0.3
"""Least correlation of drawn shapes and picture."""
_FLAT: Final = 1e-3
_SMOOTH_PX: Final = 2.0
_EDGE_PX: Final = 17
"""Invalid pixels within half of this distance blur what is seen."""
_THREADS: Final = min(4, os.cpu_count() or 1)
_LEAST_TRUSTED: Final = 0.2
"""Share of blocks that must be trusted for any shift to be applied."""
_LEAST_ALIKE: Final = 0.1
"""Share of blocks that must show one place."""
_FEWEST: Final = 4
"""With fewer blocks nothing is said of the place: single blocks of good pairs fail now and then."""

Floats = npt.NDArray[np.float32]
Directions = npt.NDArray[np.complex64]


@dataclass(frozen=True)
class BlockShift:
    """The shift in one block: the second picture shows the ground that far right and down of where the first does."""

    row: int
    """Of the middle of the block, in pixels of the grid."""
    col: int
    right: float
    """Pixels."""
    down: float
    response: float
    """Height of the peak, 0..1."""
    trusted: bool = False


@dataclass(frozen=True)
class ShiftField:
    """Shifts over a map."""

    blocks: tuple[BlockShift, ...]

    @property
    def trusted(self) -> tuple[BlockShift, ...]:
        """The blocks that can be trusted."""
        return tuple(one for one in self.blocks if one.trusted)

    @property
    def usable(self) -> bool:
        """Whether enough blocks can be trusted."""
        return len(self.trusted) >= max(1, math.ceil(_LEAST_TRUSTED * len(self.blocks)))

    @property
    def apart(self) -> bool:
        """Whether the pictures show different places, or lie further apart than is found, as far as can be seen."""
        alike = sum(one.response >= ALIKE for one in self.blocks)
        return len(self.blocks) >= _FEWEST and alike < max(1, _LEAST_ALIKE * len(self.blocks))

    @property
    def median_px(self) -> tuple[float, float, float]:
        """Median shift of the trusted blocks, right and down, and the median of their lengths; NaN without any."""
        if not self.trusted:
            return math.nan, math.nan, math.nan
        moves = np.array([(one.right, one.down) for one in self.trusted])
        right, down = np.median(moves, axis=0)
        return float(right), float(down), float(np.median(np.hypot(*moves.T)))

    def at(self, row: float, col: float) -> tuple[float, float]:
        """Returns the shift to apply at a pixel, right and down, in steps of a fourth; zero where none is trusted."""
        known = self.trusted
        if not self.usable:
            return 0.0, 0.0
        away = np.array([math.hypot(one.row - row, one.col - col) for one in known])
        weight = 1 / np.maximum(away, BLOCK_PX / 8) ** 2
        moves = np.array([(one.right, one.down) for one in known])
        right, down = (moves * weight[:, None]).sum(axis=0) / weight.sum()
        if math.hypot(right, down) < LEAST_PX:
            return 0.0, 0.0
        return round(float(right) * _STEP) / _STEP, round(float(down) * _STEP) / _STEP

    def to_geojson(self, grid: Grid) -> bytes:
        """Returns the field as a layer of points, in degrees, or in pixels of a grid without a crs."""
        side = grid.side_m()
        features = []
        for one in self.blocks:
            point = np.array([[one.col, one.row]], np.float64)
            place = grid.to_degrees(point)[0] if grid.crs is not None else point[0]
            properties: dict[str, Any] = {
                "row": one.row,
                "col": one.col,
                "right_px": round(one.right, 3),
                "down_px": round(one.down, 3),
                "length_m": None if grid.crs is None else round(math.hypot(one.right, one.down) * side, 3),
                "response": round(one.response, 4),
                "trusted": one.trusted,
            }
            geometry = {"type": "Point", "coordinates": [round(float(value), 7) for value in place]}
            features.append({"type": "Feature", "properties": properties, "geometry": geometry})
        return json.dumps({"type": "FeatureCollection", "name": "shifts", "features": features}, indent=1).encode()

    @classmethod
    def from_geojson(cls, data: bytes) -> ShiftField:
        """Reads what :meth:`to_geojson` returned."""
        rows = [feature["properties"] for feature in json.loads(data)["features"]]
        return cls(
            tuple(
                BlockShift(one["row"], one["col"], one["right_px"], one["down_px"], one["response"], one["trusted"])
                for one in rows
            )
        )


def estimate_shifts(
    grid: Grid,
    first: Callable[[Grid], tuple[Image, Mask]],
    second: Callable[[Grid], tuple[Image, Mask]],
    touches: Callable[[Grid], bool] | None = None,
) -> ShiftField:
    """Estimates the shifts between two pictures of a map.

    Args:
        grid: Pixels of the map.
        first: Reads the picture ``(h, w, bands)`` uint8 of a part of the grid, and where it is valid; several parts at
            once, in threads.
        second: Reads the other one.
        touches: Whether both pictures reach into a part of the grid; by default they are read to find out.
    """

    def compare(place: tuple[int, int, Grid]) -> BlockShift | None:
        row, col, part = place
        if touches is not None and not touches(part):
            return None
        one, seen = first(part)
        if seen.mean() < _LEAST_VALID:
            return None
        other, also = second(part)
        both = seen & also
        if both.mean() < _LEAST_VALID:
            return None
        right, down, response = shift_between(directions(one, both), directions(other, both))
        return BlockShift(row + part.height // 2, col + part.width // 2, right, down, response)

    with ThreadPoolExecutor(_THREADS, "align") as pool:
        found = [one for one in ordered_map(pool, compare, _parts(grid), ahead=2 * _THREADS) if one is not None]
    return ShiftField(judged(found))


def shift_between(one: Directions, other: Directions) -> tuple[float, float, float]:
    """Returns how far a picture is shifted against another, right and down in pixels, and the peak's height.

    The height is scaled so that pictures of different places reach the same height whatever their size.

    Args:
        one: ``(h, w)`` complex, see :func:`directions`.
        other: The same of the other picture.
    """
    height, width = one.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    first, second = one * window, other * window
    power = math.sqrt(float((np.abs(first) ** 2).sum()) * float((np.abs(second) ** 2).sum()))
    if power <= 0:
        return 0.0, 0.0, 0.0
    spectrum = np.conj(fft.fft2(first)) * fft.fft2(second)
    scores = np.fft.fftshift(np.real(fft.ifft2(spectrum))) / power
    reach = min(FURTHEST_PX, min(height, width) // 4)
    top, left = height // 2 - reach, width // 2 - reach
    near = np.ascontiguousarray(scores[top : top + 2 * reach + 1, left : left + 2 * reach + 1], np.float32)
    _, peak, _, (col, row) = cv2.minMaxLoc(near)
    if not (0 < col < 2 * reach and 0 < row < 2 * reach):
        return 0.0, 0.0, 0.0
    right = col - reach + _vertex(near[row, col - 1 : col + 2])
    down = row - reach + _vertex(near[row - 1 : row + 2, col])
    # In smaller pictures chance reaches higher.
    return right, down, float(peak) * min(1.0, math.sqrt(height * width) / BLOCK_PX)


def shift_of_shapes(shapes: Floats, picture: Floats) -> tuple[float, float, float]:
    """Returns how far a picture shows drawn shapes away from where they are, right and down in pixels, and how well.

    Args:
        shapes: ``(h, w)`` float32, 1 inside the shapes.
        picture: ``(h, w)`` float32, high where the picture shows such a thing.

    Returns:
        The shift of at most :data:`SHAPES_PX` and the correlation there; a correlation of 0 where nothing correlates.
    """
    margin = SHAPES_PX
    inner = np.ascontiguousarray(shapes[margin:-margin, margin:-margin])
    if min(inner.shape) < 4 * margin or not 0.005 <= inner.mean() <= 0.8 or picture.std() < _FLAT:
        return 0.0, 0.0, 0.0
    scores = cv2.matchTemplate(picture, inner, cv2.TM_CCOEFF_NORMED)
    _, peak, _, (col, row) = cv2.minMaxLoc(scores)
    if peak < _MATCH or not (0 < col < 2 * margin and 0 < row < 2 * margin):
        return 0.0, 0.0, 0.0
    right = col - margin + _vertex(scores[row, col - 1 : col + 2])
    down = row - margin + _vertex(scores[row - 1 : row + 2, col])
    return right, down, float(peak)


def _vertex(three: npt.NDArray[Any]) -> float:
    """Returns where a parabola through three values has its top, from the middle one."""
    before, middle, after = map(float, three)
    bend = before - 2 * middle + after
    return 0.0 if bend >= 0 else (before - after) / (2 * bend)


def directions(image: Image, valid: Mask) -> Directions:
    """Returns ``(h, w)`` direction of the slope of brightness as complex numbers, of length 1 at clear edges.

    Args:
        image: ``(h, w, bands)`` uint8.
        valid: ``(h, w)``; elsewhere the result is 0.
    """
    grey = image.mean(axis=2, dtype=np.float32)
    inner = cv2.erode(valid.view(np.uint8), np.ones((_EDGE_PX, _EDGE_PX), np.uint8)).view(bool)
    if not inner.any():
        return np.zeros(grey.shape, np.complex64)
    smooth = cv2.GaussianBlur(grey, (0, 0), _SMOOTH_PX)
    slope = cv2.Scharr(smooth, cv2.CV_32F, 1, 0) + 1j * cv2.Scharr(smooth, cv2.CV_32F, 0, 1)
    strength = np.abs(slope)
    usual = np.median(strength[inner]) + _FLAT
    return np.where(inner, slope / (strength + usual), 0).astype(np.complex64)


def judged(blocks: Sequence[BlockShift]) -> tuple[BlockShift, ...]:
    """Marks the blocks whose peak stands out and whose nearest fellows agree."""
    clear = [one for one in blocks if one.response >= PEAK]
    out = []
    for one in blocks:
        trusted = one in clear
        if trusted and len(clear) > 2:
            near = sorted(clear, key=lambda other: math.hypot(other.row - one.row, other.col - one.col))[1:9]
            right, down = np.median([(other.right, other.down) for other in near], axis=0)
            trusted = math.hypot(one.right - right, one.down - down) <= _AGREE_PX
        out.append(BlockShift(one.row, one.col, one.right, one.down, one.response, bool(trusted)))
    return tuple(out)


def _parts(grid: Grid) -> Iterator[tuple[int, int, Grid]]:
    """Yields row, column and grid of each block, evenly over a map."""
    height, width = min(BLOCK_PX, grid.height), min(BLOCK_PX, grid.width)
    if min(height, width) < BLOCK_PX // 4:
        return
    down, across = (min(_MOST_BLOCKS, max(1, math.ceil(side / BLOCK_PX))) for side in (grid.height, grid.width))
    for row in np.linspace(0, grid.height - height, down).round().astype(int):
        for col in np.linspace(0, grid.width - width, across).round().astype(int):
            yield int(row), int(col), grid.window(int(row), int(col), height, width)
