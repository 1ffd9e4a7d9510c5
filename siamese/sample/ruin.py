"""The appearance of damage on a building: tarps and torn shingles, open rooms, rubble, ash, mud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from siamese.sample.arrays import Bytes, Floats, Ints, Points
from siamese.sample.noise import smooth

RUBBLE: Final = (
    (202, 182, 156), (176, 150, 124), (158, 128, 104), (218, 208, 196), (122, 106, 92), (84, 74, 66), (186, 166, 142),
    (192, 152, 122), (240, 236, 230), (146, 138, 130), (104, 92, 84), (206, 190, 170), (126, 132, 144),
)  # fmt: skip
ASHES: Final = (
    (222, 216, 200), (196, 188, 170), (236, 232, 220), (176, 166, 148), (206, 200, 188), (120, 112, 100), (66, 60, 54),
    (164, 140, 116),
)  # fmt: skip
ROOMS: Final = (
    (118, 94, 72), (168, 130, 94), (78, 66, 56), (196, 156, 112), (110, 98, 88), (182, 164, 142), (60, 52, 46),
)  # fmt: skip
TARPS: Final = ((62, 92, 168), (70, 104, 178), (54, 80, 150), (196, 200, 206))
PLYWOOD: Final = (186, 154, 112)
FELT: Final = (64, 58, 56)
MUD: Final = (126, 106, 80)


@dataclass(frozen=True)
class Stuff:
    """Textures from which ruins are cut, made once per scene.

    Attributes:
        rubble: (T, T, 3) a mosaic of broken walls, boards and household items.
        ashes: (T, T, 3) the same, burnt.
        rooms: (T, T, 3) rooms seen from above.
        blotch: (T, T) float32 0..1 in patches of about 12 pixels.
    """

    rubble: Bytes
    ashes: Bytes
    rooms: Bytes
    blotch: Floats


def stuff(rng: np.random.Generator, side: int = 256) -> Stuff:
    """Makes the textures."""
    return Stuff(
        rubble=_mosaic(rng, side, RUBBLE, 2.9, 320),
        ashes=_mosaic(rng, side, ASHES, 2.7, 120),
        rooms=_mosaic(rng, side, ROOMS, 7.0, 90),
        blotch=smooth(rng, (side, side), 20, 2),
    )


def _mosaic(
    rng: np.random.Generator, side: int, colours: tuple[tuple[int, int, int], ...], cell: float, sticks: int
) -> Bytes:
    count = int((side / cell) ** 2)
    free = np.full((side, side), 255, np.uint8)
    x, y = rng.integers(0, side, (2, count))
    free[y, x] = 0
    nearest: Ints = cv2.distanceTransformWithLabels(free, cv2.DIST_L1, 3, labelType=cv2.DIST_LABEL_PIXEL)[1]
    chosen = np.array(colours)[rng.integers(len(colours), size=count + 2)] * rng.normal(1, 0.1, (count + 2, 1))
    image = chosen.clip(0, 255).astype(np.uint8)[nearest]
    for _ in range(sticks):
        start, angle, long = rng.uniform(0, side, 2), rng.uniform(0, np.pi), rng.uniform(3, 10)
        ends = np.stack([start, start + long * np.array([np.cos(angle), np.sin(angle)])]).astype(np.int32)
        cv2.polylines(image, [ends], False, colours[rng.integers(len(colours))], 1, cv2.LINE_AA)
    return image


class Ruins:
    """Paints damage into an image, one building after another.

    Args:
        image: (H, W, 3) RGB, modified in place.
        stuff: Textures.
        rng: Source of randomness.
    """

    def __init__(self, image: Bytes, stuff: Stuff, rng: np.random.Generator) -> None:
        self.image, self.stuff, self.rng = image, stuff, rng

    def wind(self, outline: Points, grade: int) -> None:
        """Paints wind damage of grade 1..3 on a roof with this outline."""
        match grade:
            case 1:
                self._torn(outline)
            case 2:
                self._open(outline, float(self.rng.uniform(0.38, 0.65)))
            case _:
                self._rubble(outline, self.stuff.rubble, spread=5)

    def fire(self, outline: Points, grade: int) -> None:
        """Paints fire damage of grade 1..3."""
        match grade:
            case 1:
                self._patch(outline, 0.22, (42, 36, 32) if self._bright(outline) else (136, 130, 120), 0.8)
            case 2:
                self._patch(outline, 0.7, (40, 34, 30), 0.85)
                self._patch(outline, 0.3, (176, 168, 154), 0.85)
            case _:
                self._rubble(outline, self.stuff.ashes, spread=2)
                self._walls(outline, (206, 200, 190))

    def flood(self, outline: Points, grade: int) -> None:
        """Paints flood damage of grade 2 or 3; grade 1 leaves the building itself unchanged."""
        match grade:
            case 2:
                self._rim(outline)
            case 3:
                self._washed(outline)

    def _window(self, outline: Points, margin: int) -> tuple[slice, slice, Points] | None:
        low = np.floor(outline.min(0)).astype(int) - margin
        high = np.ceil(outline.max(0)).astype(int) + margin + 1
        rows, columns = self.image.shape[:2]
        x0, y0 = np.maximum(low, 0)
        x1, y1 = min(int(high[0]), columns), min(int(high[1]), rows)
        if x1 - x0 < 2 or y1 - y0 < 2:
            return None
        return slice(int(y0), int(y1)), slice(int(x0), int(x1)), outline - (x0, y0)

    def _bright(self, outline: Points) -> bool:
        """Returns whether the roof is bright enough for dark marks to show."""
        rows, columns = self.image.shape[:2]
        x, y = np.clip(outline.mean(0), 0, (columns - 1, rows - 1)).astype(int)
        return bool(self.image[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3].mean() > 110)

    def _cut(self, texture: Bytes | Floats, shape: tuple[int, int]) -> Floats:
        side = len(texture)
        top, left = self.rng.integers(0, side, 2)
        rows = np.arange(top, top + shape[0]) % side
        columns = np.arange(left, left + shape[1]) % side
        piece: Floats = texture[rows[:, None], columns]
        return piece

    def _inside(self, ring: Points, shape: tuple[int, int], soft: float = 0.0) -> Floats:
        mask: Floats = np.zeros(shape, np.uint8)
        cv2.fillPoly(mask, [np.round(ring * 8).astype(np.int32)], 255, cv2.LINE_AA, 3)
        if soft:
            mask = cv2.GaussianBlur(mask, (0, 0), soft)
        return mask.astype(np.float32) / 255

    def _blend(self, rows: slice, columns: slice, over: Floats, alpha: Floats) -> None:
        under = self.image[rows, columns].astype(np.float32)
        mixed = under + (over - under) * alpha[..., None]
        self.image[rows, columns] = mixed.clip(0, 255).astype(np.uint8)

    def _patch(self, outline: Points, share: float, colour: tuple[int, int, int], opacity: float) -> None:
        """Covers about ``share`` of the roof with ragged patches of one colour."""
        if (window := self._window(outline, 0)) is None:
            return
        rows, columns, ring = window
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        blotch = self._cut(self.stuff.blotch, shape)
        inside = self._inside(ring, shape)
        level = np.quantile(blotch[inside > 0.5], 1 - share) if (inside > 0.5).any() else 1.0
        alpha = np.clip((blotch - level) / 0.06, 0, 1) * inside * opacity
        self._blend(rows, columns, np.array(colour, np.float32) * (0.9 + 0.2 * blotch[..., None]), alpha)

    def _torn(self, outline: Points) -> None:
        choice = self.rng.random()
        if choice < 0.5:
            self._tarp(outline)
        if choice > 0.3:
            self._patch(outline, float(self.rng.uniform(0.1, 0.24)), FELT if self._bright(outline) else PLYWOOD, 0.92)

    def _tarp(self, outline: Points) -> None:
        if (window := self._window(outline, 0)) is None:
            return
        rows, columns, ring = window
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        longest = max(range(len(ring)), key=lambda i: float(np.hypot(*(ring[i] - ring[i - 1]))))
        along = ring[longest] - ring[longest - 1]
        along = along / max(float(np.hypot(*along)), 1e-6)
        across = np.array([-along[1], along[0]])
        reach = np.abs((ring - ring.mean(0)) @ np.stack([along, across], 1)).max(0)
        middle = (
            ring.mean(0)
            + along * self.rng.uniform(-0.5, 0.5) * reach[0]
            + across * self.rng.uniform(-0.4, 0.4) * reach[1]
        )
        half = reach * self.rng.uniform(0.3, 0.7, 2)
        corners = middle + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half @ np.stack([along, across])
        alpha = np.minimum(self._inside(corners + self.rng.normal(0, 0.8, (4, 2)), shape), self._inside(ring, shape))
        light = 0.8 + 0.4 * self._cut(self.stuff.blotch, shape)
        tarp = np.array(TARPS[self.rng.integers(len(TARPS))], np.float32)
        self._blend(rows, columns, tarp * light[..., None], alpha * 0.95)

    def _open(self, outline: Points, share: float) -> None:
        """Opens the roof over about ``share`` of the building from one end: rooms, broken boards."""
        if (window := self._window(outline, 3)) is None:
            return
        rows, columns, ring = window
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        inside = self._inside(ring, shape)
        y, x = np.mgrid[: shape[0], : shape[1]]
        angle = self.rng.uniform(0, 2 * np.pi)
        slope = (x * np.cos(angle) + y * np.sin(angle)) / max(shape)
        torn = slope + 0.7 * self._cut(self.stuff.blotch, shape)
        level = np.quantile(torn[inside > 0.5], 1 - share) if (inside > 0.5).any() else 9.0
        alpha = np.clip((torn - level) / 0.05, 0, 1) * inside
        inner = self._cut(self.stuff.rooms, shape).astype(np.float32)
        debris = self._cut(self.stuff.rubble, shape).astype(np.float32)
        over = np.where((self._cut(self.stuff.blotch, shape) > 0.55)[..., None], debris, inner)
        self._blend(rows, columns, over, alpha)
        rim = np.clip(1 - np.abs(torn - level) / 0.035, 0, 1) * inside
        self._blend(rows, columns, np.array((42, 36, 32), np.float32), rim * 0.7)

    def _rubble(self, outline: Points, texture: Bytes, spread: int) -> None:
        if (window := self._window(outline, 3 * spread)) is None:
            return
        rows, columns, ring = window
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        inside = self._inside(ring, shape)
        around = self._inside(ring, shape, soft=float(spread))
        thrown = np.clip((around * 1.6 - self._cut(self.stuff.blotch, shape)) * 6, 0, 1)
        alpha = np.maximum(inside * (0.82 + 0.18 * thrown), thrown * 0.85)
        self._blend(rows, columns, self._cut(texture, shape).astype(np.float32), alpha)

    def _walls(self, outline: Points, colour: tuple[int, int, int]) -> None:
        """Draws the stumps of the outer walls."""
        points = np.round(outline * 8).astype(np.int32)
        for corner in range(len(points)):
            if self.rng.random() < 0.75:
                cv2.line(self.image, tuple(points[corner - 1]), tuple(points[corner]), colour, 1, cv2.LINE_AA, 3)

    def _rim(self, outline: Points) -> None:
        """Draws mud on walls and along the roof's edge."""
        if (window := self._window(outline, 6)) is None:
            return
        rows, columns, ring = window
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        inside = self._inside(ring, shape)
        deep = self._inside(ring, shape, soft=3.5)
        edge = np.clip((0.93 - deep) / 0.35, 0, 1) * inside
        stain = np.clip((self._cut(self.stuff.blotch, shape) - 0.3) * 3, 0, 1)
        self._blend(rows, columns, np.array(MUD, np.float32), np.maximum(edge * 0.85, edge * stain))

    def _washed(self, outline: Points) -> None:
        """Draws a scoured site: mud, the slab's outline, some wreckage."""
        if (window := self._window(outline, 8)) is None:
            return
        rows, columns, ring = window
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        blotch = self._cut(self.stuff.blotch, shape)
        around = self._inside(ring, shape, soft=3.0)
        self._blend(rows, columns, np.array(MUD, np.float32) * (0.75 + 0.4 * blotch[..., None]), around)
        slab = self._inside(ring, shape) * np.clip((blotch - 0.35) * 5, 0, 1)
        self._blend(rows, columns, np.array((168, 156, 136), np.float32), slab * 0.8)
        wreck = around * np.clip((self._cut(self.stuff.blotch, shape) - 0.55) * 8, 0, 1)
        self._blend(rows, columns, self._cut(self.stuff.rubble, shape).astype(np.float32), wreck)
