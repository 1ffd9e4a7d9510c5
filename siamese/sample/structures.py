"""Draws one building: walls, roof planes, ridges, plant, damage, and its height."""

from __future__ import annotations

import cv2
import numpy as np

from siamese.sample.arrays import Bytes, Floats
from siamese.sample.buildings import Building
from siamese.sample.damage import DESTROYED
from siamese.sample.ground import SHIFT, fixed
from siamese.sample.light import Light
from siamese.sample.plan import Event
from siamese.sample.ruin import Ruins


def draw_building(
    image: Bytes, height: Floats, building: Building, light: Light, event: Event, grade: int, ruins: Ruins | None
) -> None:
    """Draws one building: walls, roof planes, ridges, plant; then its damage; then its height."""
    if ruins and grade == DESTROYED:
        paint_ruin = {"wind": ruins.wind, "flood": ruins.flood, "fire": ruins.fire}[event]
        paint_ruin(building.outline, grade)
        cv2.fillPoly(height, [np.round(building.outline).astype(np.int32)], 0.5)
        return
    lean = light.lean(building.height_m)
    seen = building.moved(lean)
    hull = cv2.convexHull(np.concatenate([building.outline, seen.outline]).astype(np.float32))[:, 0]
    if len(building.outline) == 4:
        cv2.fillPoly(image, [fixed(hull)], _tone((168, 158, 146), 0.8), cv2.LINE_AA, SHIFT)
    else:
        cv2.fillPoly(image, [fixed(building.outline)], _tone((168, 158, 146), 0.8), cv2.LINE_AA, SHIFT)
    cv2.fillPoly(image, [fixed(seen.outline)], building.colour, cv2.LINE_AA, SHIFT)
    for facet in seen.facets:
        shade = light.facing(facet.facing, building.pitch_deg)
        cv2.fillPoly(image, [fixed(facet.corners)], _tone(building.colour, shade), cv2.LINE_AA, SHIFT)
    if building.roof == "flat":
        cv2.polylines(image, [fixed(seen.outline)], True, _tone(building.colour, 1.12), 1, cv2.LINE_AA, SHIFT)
    for line in seen.lines:
        cv2.polylines(image, [fixed(line)], False, _tone(building.colour, 1.1), 1, cv2.LINE_AA, SHIFT)
    for box in seen.boxes:
        cv2.fillPoly(image, [fixed(box - light.to_sun[:2] * 2)], _tone(building.colour, 0.5), cv2.LINE_AA, SHIFT)
        cv2.fillPoly(image, [fixed(box)], (176, 176, 172), cv2.LINE_AA, SHIFT)
    if ruins and grade:
        paint_ruin = {"wind": ruins.wind, "flood": ruins.flood, "fire": ruins.fire}[event]
        paint_ruin(seen.outline, grade)
    cv2.fillPoly(height, [np.round(seen.outline).astype(np.int32)], building.height_m)


def _tone(colour: tuple[float, float, float], by: float) -> tuple[float, float, float]:
    red, green, blue = (float(min(part * by, 255.0)) for part in colour)
    return red, green, blue
