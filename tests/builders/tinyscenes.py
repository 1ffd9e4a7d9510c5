"""Tiny scenes in xBD's layout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from shapely import Polygon, affinity, box

DEGREES_PER_PX = 1e-5


@dataclass(frozen=True)
class TinyScene:
    """A scene to be: its name, size, place on a grid of 200 px, and buildings as (pre, post, subtype)."""

    name: str
    place: float = 0
    width: int = 80
    height: int = 56
    buildings: Sequence[tuple[Polygon, Polygon, str]] = ()
    folder: str = ""
    bands: int = 3
    files: dict[str, bytes] = field(default_factory=dict)

    def image(self, date: str) -> np.ndarray:
        """(H, W, 3) uint8 in RGB order."""
        rng = np.random.default_rng([len(date), *self.name.encode()])
        noise = rng.integers(0, 40, (self.height, self.width, self.bands))
        ramp = np.arange(self.width)[None, :, None] + 50 * np.arange(self.bands)
        return (noise + ramp).astype(np.uint8)

    def label(self, date: str) -> bytes:
        """The label JSON of a date."""
        east = self.place * 200 * DEGREES_PER_PX
        return scene_label(self.name, date, self.buildings, "flooding", east=east, size=(self.width, self.height))


def scene_label(
    name: str,
    date: str,
    buildings: Sequence[tuple[Polygon, Polygon, str]],
    disaster_type: str,
    *,
    east: float,
    size: tuple[int, int],
) -> bytes:
    """A label in xBD's schema: buildings as (pre, post, subtype), ``east`` degrees of longitude, size in pixels."""
    features: dict[str, list[object]] = {"xy": [], "lng_lat": []}
    for number, (pre, post, subtype) in enumerate(buildings):
        shape = pre if date == "pre" else post
        properties = {"feature_type": "building", "uid": f"{name}-{number}"}
        if date == "post":
            properties["subtype"] = subtype
        degrees = affinity.affine_transform(shape, [DEGREES_PER_PX, 0, 0, -DEGREES_PER_PX, east, 10])
        features["xy"].append({"properties": properties, "wkt": shape.wkt})
        features["lng_lat"].append({"properties": properties, "wkt": degrees.wkt})
    metadata = {
        "disaster": name.rsplit("_", 1)[0],
        "disaster_type": disaster_type,
        "width": size[0],
        "height": size[1],
        "img_name": f"{name}_{date}_disaster.png",
    }
    return json.dumps({"features": features, "metadata": metadata}).encode()


def some_buildings(seed: int) -> list[tuple[Polygon, Polygon, str]]:
    """A few rectangles over a tiny scene, moved by a pixel between the dates, of several classes."""
    rng = np.random.default_rng(seed)
    subtypes = ["no-damage", "minor-damage", "major-damage", "destroyed", "un-classified"]
    found = []
    for number in range(5):
        x, y = rng.integers(2, 60), rng.integers(2, 40)
        shape = box(x, y, x + 9, y + 7)
        found.append((shape, affinity.translate(shape, 1, 1), subtypes[(seed + number) % 5]))
    return found


def tiny_scenes(count: int = 9) -> list[TinyScene]:
    """Scenes far from each other, of two events, the last one without buildings."""
    names = [f"{'flood' if n % 2 else 'storm-one'}_{n:08d}" for n in range(count)]
    return [
        TinyScene(name, 3 * n, buildings=some_buildings(n) if n < count - 1 else ()) for n, name in enumerate(names)
    ]
