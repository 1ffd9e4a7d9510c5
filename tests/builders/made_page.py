"""The page of a made-up town: any number of buildings, without storage, a network or a map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely
from affine import Affine

from siamese.adaptation.buildings import MapBuildings
from siamese.adaptation.model import directions_of
from siamese.classes import DAMAGE_CLASSES
from siamese.mapping.buildings import CLASSES
from siamese.mapping.grid import Grid
from siamese.params import AdaptationParams
from siamese.viewing.data import Teaching, write_about, write_buildings, write_dates, write_teaching
from siamese.viewing.folders import copy_page

Image = npt.NDArray[np.uint8]
GSD = 0.5
PLOT = 40
"""Pixels between neighbours."""


class Town:
    """Both dates of a town with one building a plot, and what a network would make of it."""

    def __init__(self, count: int, *, seed: int = 0, scale: int = 1, georeferenced: bool = True) -> None:
        """Lays out a town.

        Args:
            count: Buildings.
            seed: Of all chance.
            scale: The imagery is so many times coarser than the plots.
            georeferenced: Whether it lies anywhere on the ground.
        """
        rng = np.random.default_rng(seed)
        side = max(3, int(np.ceil(np.sqrt(count / 0.8))))
        self.side_px = side * PLOT // scale
        plots = np.sort(rng.permutation(side * side)[:count])
        row, col = np.divmod(plots, side)
        street = 10.0 * (col % 6 == 0) - 10.0 * (col % 6 == 5)
        self.middles = np.column_stack([col * PLOT + PLOT / 2 + street * 0.3, row * PLOT + PLOT / 2]).astype(float)
        self.middles += rng.uniform(-3, 3, self.middles.shape)
        self.sizes = rng.uniform((16, 12), (28, 20), (count, 2))
        self.angles = rng.normal(0, 0.12, count)
        self.middles, self.sizes = self.middles / scale, self.sizes / scale
        # Damage is worst along a track through the town.
        away = np.abs(self.middles[:, 1] - (0.35 * self.side_px + 0.3 * self.middles[:, 0])) / self.side_px
        severity = np.clip(3.6 - 14 * away + rng.normal(0, 0.6, count), 0, 3.49)
        self.truth = np.rint(severity).astype(np.int64)
        logits = -1.1 * (np.arange(4)[None] - severity[:, None] - rng.normal(0, 0.7, (count, 1))) ** 2
        self.probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        self.unknown = rng.random(count) < 0.03
        mixing = np.random.default_rng(1).normal(size=(6, 24))
        hidden = np.column_stack([severity, severity**2, rng.normal(size=(count, 4))])
        self.vectors = (hidden @ mixing + 0.5 * rng.normal(size=(count, 24))).astype(np.float32)
        self.scale, self.rng = scale, rng
        place = Affine(GSD * scale, 0, 400_000, 0, -GSD * scale, 4_100_000)
        crs = "EPSG:32615" if georeferenced else None
        self.grid = Grid(crs, place if georeferenced else Affine.identity(), self.side_px, self.side_px)
        self.corners = self._corners()

    def _corners(self) -> npt.NDArray[np.float64]:
        """``(n, 4, 2)`` corners of the roofs, pixels."""
        base = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
        scaled = base[None] * self.sizes[:, None]
        c, s = np.cos(self.angles), np.sin(self.angles)
        turn = np.stack([np.stack([c, s], 1), np.stack([-s, c], 1)], 1)
        return np.asarray(scaled @ turn + self.middles[:, None])

    def buildings(self, ids: list[str] | None = None) -> MapBuildings:
        """The buildings as a map has them."""
        outlines: Any = shapely.polygons(self.corners)
        shown = outlines
        if self.grid.crs:
            shown = shapely.transform(outlines, lambda points: self.grid.to_degrees(points).round(7))
        classes = np.where(self.unknown, len(DAMAGE_CLASSES), self.probabilities.argmax(axis=1))
        if ids is None:
            points = shapely.get_coordinates(shapely.centroid(shown))
            ids = [f"{lat:+010.6f}{lng:+011.6f}" for lng, lat in points]
        return MapBuildings(tuple(ids), classes, self.probabilities, shown, outlines, self.grid)

    def table(self, buildings: MapBuildings) -> pa.Table:
        """Its published columns."""
        n = len(buildings)
        best = self.probabilities.max(axis=1) * 0.95
        known = ~self.unknown
        area = shapely.area(buildings.outlines)
        return pa.table(
            {
                "confidence": pa.array(np.where(known, best, np.nan), from_pandas=True),
                "review": best < 0.6,
                "probability_building": np.full(n, 0.95),
                "area_m2": area * (GSD * self.scale) ** 2,
                "area_px": area.astype(np.int32),
                **{
                    f"probability_{name}": pa.array(np.where(known, self.probabilities[:, k], np.nan), from_pandas=True)
                    for k, name in enumerate(DAMAGE_CLASSES)
                },
                "unknown_share": np.where(known, 0.0, 0.4),
                "reasons": [["cloud", "shadow"][place % 2] if one else "" for place, one in enumerate(self.unknown)],
            }
        )

    def images(self) -> dict[str, Image]:
        """Draws both dates, ``(H, W, 3)``."""
        side = self.side_px
        coarse = self.rng.normal(0, 1, (side // 24 + 2, side // 24 + 2)).astype(np.float32)
        ground = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        fine = self.rng.integers(-9, 10, (side, side, 1)).astype(np.float32)
        base = np.array((96, 108, 74), np.float32) + ground[..., None] * (9, 11, 7) + fine
        step = 6 * PLOT // self.scale
        width = max(1, 8 // self.scale)
        for at in range(0, side, step):
            base[:, max(0, at - width // 2) : at + width // 2 + 1] = (128, 126, 122)
            base[max(0, at - width // 2) : at + width // 2 + 1] = (128, 126, 122)
        dates = {"pre": base.copy(), "post": base * 0.96 + 4}
        palette = np.array([(168, 98, 78), (122, 120, 124), (196, 188, 176), (92, 106, 128), (150, 132, 108)])
        roofs = palette[self.rng.integers(0, len(palette), len(self.corners))].astype(np.float64)
        for number, (corners, roof) in enumerate(zip(self.corners, roofs, strict=True)):
            damage = int(self.truth[number])
            for date, image in dates.items():
                _roof(image, corners, roof, damage if date == "post" else 0, self.rng)
        return {date: np.clip(image, 0, 255).astype(np.uint8) for date, image in dates.items()}


def _roof(
    image: npt.NDArray[np.float32],
    corners: npt.NDArray[np.float64],
    colour: npt.NDArray[np.float64],
    damage: int,
    rng: np.random.Generator,
) -> None:
    shadow = np.rint(corners + 2.5).astype(np.int32)
    cv2.fillPoly(image, [shadow], (48, 52, 46))
    ridge = (corners[0] + corners[3]) / 2, (corners[1] + corners[2]) / 2
    halves = (corners[0], corners[1], ridge[1], ridge[0]), (ridge[0], ridge[1], corners[2], corners[3])
    for half, light in zip(halves, (1.12, 0.86), strict=True):
        tone = colour * light if damage < 3 else np.array((112, 100, 88)) * light
        cv2.fillPoly(image, [np.rint(half).astype(np.int32)], tone.tolist())
    low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
    for _ in range((0, 3, 9, 26)[damage]):
        x, y = rng.uniform(low - damage, high + damage).astype(int)
        tone = rng.choice([(60, 58, 56), (190, 186, 178), (120, 92, 70), (70, 110, 160)])
        cv2.rectangle(image, (x, y), (x + int(rng.integers(1, 5)), y + int(rng.integers(1, 4))), tone.tolist(), -1)


class Pixels:
    """An image in memory that is read on parts of its own grid."""

    def __init__(self, image: Image) -> None:
        self._image = image

    def read(self, grid: Grid) -> tuple[Image, npt.NDArray[np.bool_]]:
        """Cuts a part out."""
        origin = self._corner(grid)
        part = self._image[origin[1] : origin[1] + grid.height, origin[0] : origin[0] + grid.width]
        return part, np.ones(part.shape[:2], bool)

    @staticmethod
    def _corner(grid: Grid) -> tuple[int, int]:
        if grid.crs is None:
            return round(grid.transform.c), round(grid.transform.f)
        return round((grid.transform.c - 400_000) / grid.transform.a), round(
            (grid.transform.f - 4_100_000) / grid.transform.e
        )


def made_page(
    folder: Path,
    count: int,
    *,
    scale: int = 1,
    georeferenced: bool = True,
    ids: list[str] | None = None,
    event: str = "town-storm",
    warnings: tuple[str, ...] = (),
    labels: dict[int, str] | None = None,
) -> Town:
    """Writes the page of a town to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    town = Town(count, scale=scale, georeferenced=georeferenced)
    buildings = town.buildings(ids)
    params = AdaptationParams()
    parts: dict[str, Any] = write_buildings(folder, buildings, town.table(buildings))
    parts["imagery"] = write_dates(folder, town.grid, {name: Pixels(one) for name, one in town.images().items()}, event)
    teaching = Teaching(buildings, "0" * 64, labels or {})
    along = directions_of(town.vectors, params) if count else np.zeros((0, 1))
    parts["teach"] = write_teaching(folder, teaching, along)
    counts = {name: int((buildings.classes == number).sum()) for number, name in enumerate(CLASSES)}
    about = {
        "digest": "0123456789abcdef",
        "root": "0123456789abcdef",
        "map": {
            "event": event, "model": "siamese-damage 3", "checkpoint": "fedcba9876543210",
            "pre": ["town_pre.tif"], "post": ["town_post.tif"], "crs": town.grid.crs,
            "width": town.grid.width, "height": town.grid.height, "unknown_share": 0.012,
            "counts": counts, "warnings": list(warnings), "created": "2026-11-02T10:00:00Z",
        },
    }  # fmt: skip
    copy_page(folder)
    write_about(folder, about, params, parts)
    return town
