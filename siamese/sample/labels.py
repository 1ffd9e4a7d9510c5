"""Labels of a scene in xBD's own schema: polygons in pixels and degrees, and acquisition metadata."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import numpy as np
from shapely.geometry import MultiPolygon, Polygon, box

from siamese.sample.arrays import Points
from siamese.sample.damage import SUBTYPE_OF
from siamese.sample.light import METRES_PER_PIXEL, Light
from siamese.sample.plan import SIDE_PX, Event, ScenePlan
from siamese.sample.scene import Pictured

DISASTER_TYPES: Final[dict[Event, str]] = {"wind": "wind", "flood": "flooding", "fire": "fire"}
DATES: Final[dict[Event, tuple[str, str]]] = {
    "wind": ("2023-10-14T16:31:20.000Z", "2024-05-22T16:48:15.000Z"),
    "flood": ("2023-03-02T17:02:41.000Z", "2024-08-31T17:20:06.000Z"),
    "fire": ("2023-06-11T18:55:09.000Z", "2024-10-12T19:04:33.000Z"),
}
_ORIGIN: Final[dict[Event, tuple[float, float]]] = {
    "wind": (-97.2, 38.4),
    "flood": (-93.6, 33.9),
    "fire": (-121.8, 41.2),
}
_PER_ROW: Final = 256
_APART_DEG: Final = 0.012
_METRES_PER_DEGREE: Final = 111_320.0
_SMALLEST_PX2: Final = 12.0


def origin(plan: ScenePlan) -> tuple[float, float]:
    """Returns longitude and latitude of the scene's upper left corner.

    Scenes are at least 1 km apart; a neighbour lies to the east of its leader, where its own ground begins.
    """
    row, column = divmod(plan.leader, _PER_ROW)
    west, north = _ORIGIN[plan.event]
    latitude = north - row * _APART_DEG
    per_pixel = METRES_PER_PIXEL / _METRES_PER_DEGREE
    return west + column * _APART_DEG * 1.4 + plan.offset_px * per_pixel / np.cos(np.radians(north)), latitude


def to_degrees(plan: ScenePlan, pixels: Points) -> Points:
    """Converts pixels of a scene (n, 2) to longitude and latitude; affine, as in xBD."""
    west, north = origin(plan)
    per_pixel = METRES_PER_PIXEL / _METRES_PER_DEGREE
    scale = np.array([per_pixel / np.cos(np.radians(_ORIGIN[plan.event][1])), -per_pixel])
    degrees: Points = np.array([west, north]) + pixels * scale
    return degrees


def label_pair(plan: ScenePlan, seed: int, drawn: Pictured, mark: str) -> tuple[bytes, bytes, dict[str, int]]:
    """Returns the two labels of a scene.

    Args:
        plan: The scene.
        seed: Seed of the set.
        drawn: Its images and what they show.
        mark: Catalogue number that identifies the set to which the scene belongs.

    Returns:
        JSON of the label before, JSON of the label after, and the number of buildings by subtype.
    """
    rng = np.random.default_rng([seed, plan.index, 0x1D])
    outlines, subtypes, uids = [], [], []
    for building, grade, hidden in zip(drawn.world.buildings, drawn.harm.classes, drawn.harm.hidden, strict=True):
        seen = building.outline + drawn.pre_light.lean(building.height_m) - (plan.offset_px, 0)
        if (outline := _within(seen + rng.normal(0, 0.35, seen.shape))) is None:
            continue
        outlines.append(outline)
        subtypes.append("un-classified" if hidden else SUBTYPE_OF[grade])
        uids.append(_uid(rng))
    counts = {subtype: subtypes.count(subtype) for subtype in (*SUBTYPE_OF, "un-classified")}
    pixels, degrees = [_wkt(o) for o in outlines], [_wkt(to_degrees(plan, o)) for o in outlines]

    def label(when: str, light: Light, date: str, marks: list[dict[str, str]]) -> bytes:
        features = {
            name: [{"properties": properties, "wkt": wkt} for properties, wkt in zip(marks, texts, strict=True)]
            for name, texts in (("lng_lat", degrees), ("xy", pixels))
        }
        metadata = _metadata(plan, light, date, f"{plan.name}_{when}_disaster.png", mark, rng)
        return json.dumps({"features": features, "metadata": metadata}).encode()

    first, second = DATES[plan.event]
    bare = [{"feature_type": "building", "uid": uid} for uid in uids]
    graded = [
        {"feature_type": "building", "subtype": subtype, "uid": uid}
        for subtype, uid in zip(subtypes, uids, strict=True)
    ]
    pre = label("pre", drawn.pre_light, first, bare)
    return pre, label("post", drawn.post_light, second, graded), counts


def _within(outline: Points) -> Points | None:
    """Clips an outline to the tile and closes it; returns None if almost nothing is left."""
    kept = Polygon(outline).buffer(0).intersection(box(0, 0, SIDE_PX, SIDE_PX))
    if isinstance(kept, MultiPolygon):
        kept = max(kept.geoms, key=lambda part: part.area)
    if not isinstance(kept, Polygon) or kept.area < _SMALLEST_PX2:
        return None
    return np.asarray(kept.exterior.coords)


def _wkt(outline: Points) -> str:
    return "POLYGON ((" + ", ".join(f"{x!r} {y!r}" for x, y in outline.tolist()) + "))"


def _uid(rng: np.random.Generator) -> str:
    digits = (rng.bytes(6) + b"\x40\x00\x80" + rng.bytes(7)).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _metadata(
    plan: ScenePlan, light: Light, date: str, image: str, mark: str, rng: np.random.Generator
) -> dict[str, Any]:
    return {
        "sensor": "SAMPLE",
        "provider_asset_type": "SAMPLE",
        "gsd": METRES_PER_PIXEL * 4,
        "capture_date": date,
        "off_nadir_angle": light.off_nadir,
        "pan_resolution": METRES_PER_PIXEL,
        "sun_azimuth": light.sun_azimuth,
        "sun_elevation": light.sun_elevation,
        "target_azimuth": light.target_azimuth,
        "disaster": plan.disaster,
        "disaster_type": DISASTER_TYPES[plan.event],
        "catalog_id": mark,
        "original_width": SIDE_PX,
        "original_height": SIDE_PX,
        "width": SIDE_PX,
        "height": SIDE_PX,
        "id": base64.urlsafe_b64encode(rng.bytes(18)).decode(),
        "img_name": image,
    }
