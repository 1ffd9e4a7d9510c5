"""Label files as a person hands them in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SIDE = 256
"""Of the map of ``tests/adaptation``, in pixels."""


def layout() -> list[tuple[int, int, int, int, int]]:
    """Row, column, height, width and damage class of each building of that map, row by row."""
    places = [(row, col) for row in range(4, SIDE - 32, 42) for col in range(4, SIDE - 28, 31)]
    return [(row, col, 22, 20, number % 4) for number, (row, col) in enumerate(places)]


def write_labels(path: Path, features: list[dict[str, Any]], **head: object) -> Path:
    """Writes a feature collection."""
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **head}))
    return path


def feature(geometry: object, damage_class: object, **more: object) -> dict[str, Any]:
    """A labelled feature."""
    properties = {"damage_class": damage_class, **{name: value for name, value in more.items() if name != "id"}}
    named = {"id": more["id"]} if "id" in more else {}
    return {"type": "Feature", "properties": properties, "geometry": geometry, **named}


def point(position: npt.NDArray[np.float64] | tuple[float, float]) -> dict[str, Any]:
    """A point as GeoJSON."""
    return {"type": "Point", "coordinates": [float(position[0]), float(position[1])]}
