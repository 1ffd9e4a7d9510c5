"""Small labelled scenes in xBD's layout, in a folder, far from each other."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from shapely import Polygon, box

SIDE = 64
FOOTPRINT = box(10, 10, 40, 30)


def write_scenes(folder: Path, count: int) -> None:
    for date in ("pre", "post"):
        for number in range(count):
            stem = f"quake_{number:08d}_{date}_disaster"
            rng = np.random.default_rng((number, date == "pre"))
            _, png = cv2.imencode(".png", rng.integers(0, 255, (SIDE, SIDE, 3), np.uint8))
            for name, data in ((f"images/{stem}.png", png.tobytes()), (f"labels/{stem}.json", _label(number, date))):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)


def _label(number: int, date: str) -> bytes:
    properties = {"feature_type": "building", "uid": str(number)}
    properties |= {"subtype": ("destroyed", "no-damage")[number % 2]} if date == "post" else {}
    degrees = Polygon([(number + x * 1e-5, 10 - y * 1e-5) for x, y in FOOTPRINT.exterior.coords])
    features = {
        name: [{"properties": properties, "wkt": shape.wkt}]
        for name, shape in (("xy", FOOTPRINT), ("lng_lat", degrees))
    }
    image = f"quake_{number:08d}_{date}_disaster.png"
    metadata = {"disaster": "quake", "disaster_type": "earthquake", "width": SIDE, "height": SIDE, "img_name": image}
    return json.dumps({"features": features, "metadata": metadata}).encode()
