"""The ground of a scene, as shapes rather than pixels."""

from __future__ import annotations

from dataclasses import dataclass, field

from siamese.sample.arrays import Points
from siamese.sample.buildings import Building
from siamese.sample.streets import Road


@dataclass(frozen=True)
class Parcel:
    """An area of one ground cover.

    Attributes:
        outline: (n, 2) pixels.
        cover: Name of the ground cover.
        angle: Direction of its rows in radians; None without rows.
    """

    outline: Points
    cover: str
    angle: float | None = None


@dataclass(frozen=True)
class Bay:
    """A parking place: centre, direction in radians, and the probability that a car is there."""

    place: Points
    angle: float
    busy: float


@dataclass
class World:
    """The objects on the ground, filled in during layout; drawn once before and once after the event.

    Attributes:
        size: Width and height in pixels.
        cover: Ground cover where no parcel lies.
        wild: Share of the ground covered by woodland.
        parcels: Fields, lawns, yards, later over earlier.
        roads: Roads and tracks.
        paved: Drives, car parks: outline and surface.
        water: Rivers: path and width in pixels.
        pools: Swimming pools: outline.
        buildings: Buildings.
        bays: Places for cars.
        garden: Where single trees were planted.
        lots: Outlines of plots; each has a lawn of its own shade.
        shoulder: Ground cover beside roads.
        leafy: Mean number of trees behind a house.
    """

    size: tuple[int, int]
    cover: str = "grass"
    wild: float = 0.1
    parcels: list[Parcel] = field(default_factory=list)
    roads: list[Road] = field(default_factory=list)
    paved: list[Parcel] = field(default_factory=list)
    water: list[tuple[Points, float]] = field(default_factory=list)
    pools: list[Points] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    bays: list[Bay] = field(default_factory=list)
    garden: list[Points] = field(default_factory=list)
    lots: list[Points] = field(default_factory=list)
    shoulder: str = "gravel"
    leafy: float = 2.5
