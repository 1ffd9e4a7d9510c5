"""Neighbouring scenes of one disaster in xBD's layout, in a tar: pictures without, labels with a georeference."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence

import cv2
import numpy as np
from shapely import affinity, box
from shapely.geometry import mapping

from builders.made_rasters import pair
from builders.tinyscenes import DEGREES_PER_PX, scene_label
from siamese.ingest import ingest
from siamese.manifests import SceneCatalog
from siamese.params import IngestParams
from siamese.store import ObjectStore

SIDE = 128
WEST = 3.0
"""Longitude of the first scene's western edge: the middle of a UTM zone, where rows of the scenes are rows of a map."""
BUILDINGS = ((14, 16, 28, 24, 0), (20, 80, 22, 26, 1), (70, 20, 30, 30, 2), (76, 76, 26, 28, 3))
"""Row, column, height, width and damage class of the buildings of each scene."""
SUBTYPES = ("no-damage", "minor-damage", "major-damage", "destroyed")


def quake_catalog(store: ObjectStore, scenes: int, unplaced: Sequence[int] = ()) -> SceneCatalog:
    """Puts scenes side by side from west to east, and ingests them.

    Args:
        store: Where to.
        scenes: How many.
        unplaced: Numbers of those whose labels name no building, so that nobody knows where they lie.
    """
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for number in range(scenes):
            name, there = f"quake_{number:08d}", () if number in unplaced else BUILDINGS
            for date, image in zip(("pre", "post"), pair(SIDE, SIDE, *there), strict=True):
                noise = np.random.default_rng([number, len(date)]).integers(0, 6, (SIDE, SIDE, 3), np.uint8)
                shapes = [box(col, row, col + wide, row + tall) for row, col, tall, wide, _ in there]
                labels = [(one, one, SUBTYPES[place[4]]) for one, place in zip(shapes, there, strict=True)]
                east = WEST + number * SIDE * DEGREES_PER_PX
                label = scene_label(name, date, labels, "earthquake", east=east, size=(SIDE, SIDE))
                png = cv2.imencode(".png", (image + noise)[..., ::-1])[1].tobytes()
                for path, data in (
                    (f"images/{name}_{date}_disaster.png", png),
                    (f"labels/{name}_{date}_disaster.json", label),
                ):
                    entry = tarfile.TarInfo(path)
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
    store.put(store.raw / "quake" / "scenes.tar", written.getvalue())
    return ingest(store.raw / "quake", IngestParams(), store)


def quake_footprints(scenes: int) -> bytes:
    """The buildings of the first scenes as GeoJSON."""
    shapes = [
        box(number * SIDE + col, row, number * SIDE + col + wide, row + tall)
        for number in range(scenes)
        for row, col, tall, wide, _ in BUILDINGS
    ]
    placed = [affinity.affine_transform(one, [DEGREES_PER_PX, 0, 0, -DEGREES_PER_PX, WEST, 10]) for one in shapes]
    features = [{"type": "Feature", "properties": {}, "geometry": mapping(one)} for one in placed]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()
