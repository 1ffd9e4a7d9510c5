"""Measures how far buildings land from where their labels say that they lie, on real xBD scenes.

Each scene's building polygons are painted in pixels into an image of its own, which goes the way of a map's imagery:
placed by the label, resampled onto a grid in UTM, cut into buildings, written in degrees. Only the network is left
out, so that its errors do not count. A building is compared with the polygon in degrees (`lng_lat`) that it overlaps,
if both have about one area: buildings that touch are one in the image.

Prints one JSON line: errors are distances of centroids, in pixels of the map.

    python benchmarks/landing.py --scenes ../shared/data/xbd
"""

from __future__ import annotations

import argparse
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from budget import Budget, add_minutes
from pyproj import Geod
from rasterio.features import rasterize, shapes

from siamese.ingest.labels import Label, parse_label
from siamese.mapping.grid import Grid
from siamese.mapping.inputs import ImageFile
from siamese.mapping.placing import place_images
from siamese.mapping.task import lay_imagery

_DATA: Final = Path(os.environ.get("SIAMESE_DATA", "../shared/data")) / "xbd"
_SIDE: Final = 1024
_ALIKE: Final = 0.2
"""Areas differ by at most this share of the label's."""
_EARTH: Final = Geod(ellps="WGS84")


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_minutes(parser)
    parser.add_argument("--scenes", type=Path, default=_DATA, help="folder of labelled scenes, flat: labels/")
    given = parser.parse_args()
    budget = Budget("landing", given.minutes)
    print(budget.record(landing(given.scenes, budget)))


def landing(folder: Path, budget: Budget) -> dict[str, Any]:
    """Measures all scenes of a folder that time permits."""
    errors, unplaced, buildings = {}, 0, 0
    for path in sorted((folder / "labels").glob("*_pre_disaster.json")):
        scene = budget.attempt(path.name.removesuffix("_pre_disaster.json"), partial(_scene, path))
        if scene is None:
            continue
        count, found = scene
        if found is None:
            unplaced += 1
            continue
        buildings += count
        errors[path.name] = found
    every = np.concatenate(list(errors.values())) if errors else np.zeros(0)
    medians = np.array([np.median(one) for one in errors.values() if len(one)])
    return {
        "scenes": len(errors),
        "scenes_without_place": unplaced,
        "buildings": buildings,
        "compared": len(every),
        "median_px": _rounded(every, 50),
        "p95_px": _rounded(every, 95),
        "max_px": _rounded(every, 100),
        "worst_scene_median_px": _rounded(medians, 100),
    }


def _rounded(values: npt.NDArray[np.float64], percent: float) -> float | None:
    return round(float(np.percentile(values, percent)), 3) if len(values) else None


def _scene(path: Path) -> tuple[int, npt.NDArray[np.float64] | None]:
    """Returns the number of buildings of a scene and their errors; None for a scene without a place or buildings."""
    label = parse_label(path.read_bytes(), path.name, width=_SIDE, height=_SIDE, max_vertices=100_000)
    return len(label.buildings), errors_px(label, path) if label.buildings else None


def errors_px(label: Label, path: Path) -> npt.NDArray[np.float64] | None:
    """Returns the distance of each building of a scene from its label; None if the label does not place the scene."""
    painted = rasterize([one.pixels for one in label.buildings], (_SIDE, _SIDE), dtype=np.uint8, default_value=254)
    with tempfile.TemporaryDirectory() as name:
        image = Path(name) / "painted.png"
        # Not 0, which would be ground that nobody saw.
        cv2.imwrite(str(image), np.repeat(np.maximum(painted, 1)[:, :, None], 3, axis=2))
        dates = [[ImageFile(image, f"{date}.png", date, label=path)] for date in ("pre", "post")]
        placed = place_images(dates[0], dates[1], Path(name), (3, 3))
        imagery = lay_imagery(placed, {"pre.png": "pre", "post.png": "post"})
        if imagery.grid.crs is None:
            return None
        pixels, seen = imagery.pre.mosaic.read(imagery.grid)
    return _distances(_polygons((pixels[..., 0] > 127) & seen, imagery.grid), label, imagery.grid.side_m())


def _polygons(mask: npt.NDArray[np.bool_], grid: Grid) -> list[shapely.Geometry]:
    """Returns buildings in degrees."""
    found = [shapely.geometry.shape(one) for one, _ in shapes(mask.astype(np.uint8), mask)]
    return [shapely.transform(one, grid.to_degrees) for one in found]


def _distances(found: list[shapely.Geometry], label: Label, side_m: float) -> npt.NDArray[np.float64]:
    truth = [one.lng_lat for one in label.buildings if one.lng_lat is not None]
    here, there = shapely.STRtree(truth).query(found, predicate="intersects")
    single = np.flatnonzero((np.bincount(here, minlength=len(found)) == 1)[here])
    distances = []
    for one, other in zip(here[single], there[single], strict=True):
        areas = shapely.area([found[one], truth[other]])
        if abs(areas[0] - areas[1]) <= _ALIKE * areas[1]:
            a, b = (shapely.centroid(shape) for shape in (found[one], truth[other]))
            distances.append(_EARTH.inv(a.x, a.y, b.x, b.y)[2] / side_m)
    return np.array(distances, np.float64)


if __name__ == "__main__":
    main()
