"""Streets and the plots along them, on a grid that is rotated and gently curved."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from siamese.sample.arrays import Points


@dataclass(frozen=True)
class Bend:
    """The map from a straight street grid (u along streets, v across) to ground pixels.

    Attributes:
        centre: (2,) pixels; the position of u = v = 0.
        angle: Rotation of the grid in radians.
        sway: Amplitude of the bends in pixels, along and across.
        wave: Wavelength of the bends in pixels, along and across.
        phase: Phase of the bends, along and across.
    """

    centre: Points
    angle: float
    sway: tuple[float, float]
    wave: tuple[float, float]
    phase: tuple[float, float]

    def at(self, places: Points) -> Points:
        """Converts grid coordinates (n, 2) to pixels (n, 2)."""
        u, v = places[..., 0], places[..., 1]
        bent_u = u + self.sway[0] * np.sin(2 * np.pi * v / self.wave[0] + self.phase[0])
        bent_v = v + self.sway[1] * np.sin(2 * np.pi * u / self.wave[1] + self.phase[1])
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        pixels: Points = np.stack([cos * bent_u - sin * bent_v, sin * bent_u + cos * bent_v], -1) + self.centre
        return pixels

    def along(self, place: Points) -> float:
        """Returns the direction in pixels, in radians, of a street that runs along u at a grid position."""
        step = self.at(place + np.array([(-2.0, 0.0), (2.0, 0.0)]))
        return float(np.arctan2(*(step[1] - step[0])[::-1]))


@dataclass(frozen=True)
class Road:
    """A road.

    Attributes:
        path: (n, 2) pixels.
        width_px: From edge to edge.
        surface: Surface material.
        marked: Whether lines are painted on it.
    """

    path: Points
    width_px: float
    surface: str = "asphalt"
    marked: bool = False


@dataclass(frozen=True)
class Plot:
    """A place for one house.

    Attributes:
        place: (2,) grid coordinates of the middle of its front edge, on the street's axis.
        side: +1 or -1: the side of the street it lies on, along v.
        width_px: Along the street.
        depth_px: From the street's axis to the back.
    """

    place: Points
    side: int
    width_px: float
    depth_px: float


@dataclass(frozen=True)
class Grid:
    """Streets, and the plots between them."""

    bend: Bend
    roads: tuple[Road, ...]
    plots: tuple[Plot, ...]


def bend(rng: np.random.Generator, size: tuple[int, int], sway_px: float) -> Bend:
    """Draws a random rotation and curvature about the middle of a ground of ``size`` (width, height) pixels."""
    return Bend(
        centre=np.array(size) / 2 + rng.uniform(-60, 60, 2),
        angle=float(rng.choice([0, np.pi / 2]) + rng.normal(0, 0.25)),
        sway=(sway_px * float(rng.uniform(0.2, 0.6)), sway_px * float(rng.uniform(0.2, 1))),
        wave=(float(rng.uniform(900, 1500)), float(rng.uniform(900, 1500))),
        phase=(float(rng.uniform(0, 6.3)), float(rng.uniform(0, 6.3))),
    )


def street_grid(
    rng: np.random.Generator,
    size: tuple[int, int],
    *,
    between_px: float,
    cross_px: float,
    plot_px: float,
    width_px: float,
    sway_px: float,
) -> Grid:
    """Lays out parallel streets, cross streets, and plots back to back.

    Args:
        rng: Source of randomness.
        size: Width and height of the ground in pixels.
        between_px: Distance of neighbouring streets.
        cross_px: Distance of neighbouring cross streets.
        plot_px: Width of a plot along its street.
        width_px: Width of a street.
        sway_px: How far streets curve.
    """
    bent = bend(rng, size, sway_px)
    reach = float(np.hypot(*size)) / 2 + 200
    rows = _spread(rng, reach, between_px, 0.12)
    crossings = _spread(rng, reach, cross_px, 0.25)
    roads: list[Road] = []
    steps = np.linspace(-reach, reach, 60)
    main = int(rng.integers(len(rows)))
    for number, v in enumerate(rows):
        wider = 1.5 if number == main else 1.0
        path = bent.at(np.stack([steps, np.full_like(steps, v)], -1))
        roads.append(Road(path, width_px * wider, marked=number == main))
    for u in crossings:
        roads.append(Road(bent.at(np.stack([np.full_like(steps, u), steps], -1)), width_px * 0.9))
    plots: list[Plot] = []
    for row, v in enumerate(rows):
        for side in (-1, 1):
            other = rows[row + side] if 0 <= row + side < len(rows) else v + side * between_px
            depth = abs(other - v) / 2
            for left, right in pairwise(crossings):
                count = int((right - left - 2 * width_px) / plot_px)
                for number in range(count):
                    wide = (right - left - 2 * width_px) / count
                    middle = left + width_px + (number + 0.5) * wide
                    plots.append(Plot(np.array([middle, v]), side, wide, depth))
    return Grid(bent, tuple(roads), tuple(plots))


def _spread(rng: np.random.Generator, reach: float, step: float, jitter: float) -> list[float]:
    count = int(2 * reach / step) + 1
    places = -reach + step * (np.arange(count) + rng.normal(0, jitter, count).clip(-0.16, 0.16))
    return [float(place) for place in places]


def winding(
    rng: np.random.Generator, size: tuple[int, int], bends_px: float, *, through: Points | None = None
) -> Points:
    """Draws a winding path across the whole ground.

    Args:
        rng: Source of randomness.
        size: Width and height in pixels.
        bends_px: How far it deviates from a straight line.
        through: (2,) pixels near which it passes; None for anywhere.

    Returns:
        (n, 2) pixels.
    """
    reach = float(np.hypot(*size)) / 2 + 150
    angle = rng.uniform(0, np.pi)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    middle = np.array(size) / 2 + rng.uniform(-0.22, 0.22, 2) * size if through is None else through
    t = np.linspace(-reach, reach, 90)
    stray = sum(
        bends_px * rng.uniform(0.3, 1) / k * np.sin(2 * np.pi * k * t / (1.4 * reach) + rng.uniform(0, 6.3))
        for k in (1, 2, 3)
    )
    path: Points = middle + np.outer(t, along) + np.outer(stray, across)
    return path
