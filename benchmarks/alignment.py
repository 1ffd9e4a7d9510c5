"""Measures how well dates are aligned: on copies with known shifts, and on real tiles that lie metres apart.

    python benchmarks/alignment.py --scenes ../shared/data/xbd --tiles ../shared/data/joplin

With ``--buildings`` (of a map of these tiles) and ``--footprints`` it also prints the median distance of found
buildings from the given footprints, as they lie and after alignment. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from budget import Budget, add_minutes

from siamese.mapping.grid import Grid
from siamese.mapping.inputs import ImageFile
from siamese.mapping.placing import place_images
from siamese.mapping.predict import align
from siamese.mapping.shifts import BLOCK_PX, PEAK, Directions, ShiftField, directions, estimate_shifts, shift_between
from siamese.mapping.task import Imagery, lay_imagery

LENGTHS = (0.5, 1.0, 2.0, 5.0, 10.0)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_minutes(parser)
    parser.add_argument("--scenes", type=Path, help="xBD's flat layout: copies with known shifts are made of it.")
    parser.add_argument("--tiles", type=Path, help="Folder with pre/ and post/ GeoTIFFs.")
    parser.add_argument("--buildings", type=Path, help="buildings.parquet of a map of these tiles.")
    parser.add_argument("--footprints", type=Path, help="Footprints that its buildings are compared with.")
    parser.add_argument("--every", type=int, default=4, help="Use every so many scenes.")
    given = parser.parse_args()
    budget = Budget("alignment", given.minutes)
    figures: dict[str, Any] = {}
    if given.scenes:
        figures["known_shifts"] = known_shifts(given.scenes, given.every, budget)
        figures["places"] = budget.attempt("places", partial(places, given.scenes, given.every))
    if given.tiles:
        figures["tiles"] = budget.attempt("tiles", partial(tiles, given.tiles))
    if given.buildings and given.footprints:
        figures["footprints"] = budget.attempt("footprints", partial(distances, given.buildings, given.footprints))
    print(budget.record(figures))


def known_shifts(folder: Path, every: int, budget: Budget) -> dict[str, Any]:
    """Shifts post images of real scenes by known lengths; the error is that of the change in the estimate."""
    rng = np.random.default_rng(1)
    measured = _Measured([], [])
    for path in sorted((folder / "images").glob("*_pre_disaster.png"))[::every]:
        found = budget.attempt(path.name, partial(_shifted, path, measured.last, rng))
        if found is not None:
            measured.add(found)
    table = np.array(measured.rows).reshape(-1, 3)
    out: dict[str, Any] = {
        "scenes": len(measured.rows) // len(LENGTHS),
        "other_places_response_max": round(max(measured.other), 3) if measured.other else None,
    }
    for length in LENGTHS if measured.rows else ():
        of = table[table[:, 0] == length]
        sure = of[of[:, 1] >= PEAK]
        out[f"{length:g}_px"] = {
            "trusted": round(len(sure) / len(of), 3),
            "median_error_px": round(float(np.median(sure[:, 2])), 3) if len(sure) else None,
            "p90_error_px": round(float(np.percentile(sure[:, 2], 90)), 3) if len(sure) else None,
        }
    return out


@dataclass
class _Scene:
    """What one scene gives."""

    before: Directions
    """Of the pre image."""
    other: float | None
    """Response to the pre image of the scene before, which shows another place."""
    rows: list[tuple[float, float, float]]
    """For each length: the length, the response, the error in pixels."""


@dataclass
class _Measured:
    """What the scenes so far gave."""

    other: list[float]
    rows: list[tuple[float, float, float]]
    last: Directions | None = None

    def add(self, scene: _Scene) -> None:
        """Adds a scene."""
        self.other += [] if scene.other is None else [scene.other]
        self.rows += scene.rows
        self.last = scene.before


def _shifted(path: Path, last: Directions | None, rng: np.random.Generator) -> _Scene:
    pre, post = (_image(Path(str(path).replace("_pre_", f"_{date}_"))) for date in ("pre", "post"))
    part = np.s_[256 : 256 + BLOCK_PX, 256 : 256 + BLOCK_PX]
    before, after = (directions(image[part], _seen(image[part])) for image in (pre, post))
    own = shift_between(before, after)
    rows = []
    for length in LENGTHS:
        angle = rng.uniform(0, 2 * math.pi)
        right, down = length * math.cos(angle), length * math.sin(angle)
        move = np.array([[1, 0, right], [0, 1, down]], np.float32)
        warped = cv2.warpAffine(post, move, post.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        moved = np.asarray(warped, np.uint8)
        found = shift_between(before, directions(moved[part], _seen(moved[part])))
        rows.append((length, found[2], math.hypot(found[0] - own[0] - right, found[1] - own[1] - down)))
    return _Scene(before, None if last is None else shift_between(last, after)[2], rows)


def places(folder: Path, every: int) -> dict[str, Any]:
    """Counts the pairs whose dates are held for different places: real pairs, mixed ones, and ones moved far away."""
    paths = sorted((folder / "images").glob("*_pre_disaster.png"))[::every]
    pairs = [(_image(path), _image(Path(str(path).replace("_pre_", "_post_")))) for path in paths]
    kinds = {
        "own": pairs,
        "other": [(pre, pairs[number - 1][1]) for number, (pre, _) in enumerate(pairs)],
        "60_px": [(pre, np.roll(post, 60, 1)) for pre, post in pairs],
        "150_px": [(pre, np.roll(post, (120, 90), (0, 1))) for pre, post in pairs],
    }
    apart = {f"{kind}_apart": sum(_field(*two).apart for two in of) for kind, of in kinds.items()}
    return {"pairs": len(pairs)} | apart


def _field(pre: npt.NDArray[np.uint8], post: npt.NDArray[np.uint8]) -> ShiftField:
    def reader(image: npt.NDArray[np.uint8]) -> Callable[[Grid], tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]]:
        def read(part: Grid) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
            row, col = round(part.transform.f), round(part.transform.c)
            piece = image[row : row + part.height, col : col + part.width]
            return piece, _seen(piece)

        return read

    grid = Grid(None, Affine.identity(), pre.shape[1], pre.shape[0])
    return estimate_shifts(grid, reader(pre), reader(post))


def _image(path: Path) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(path)), np.uint8)


def _seen(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return np.asarray(image.any(2), bool)


def tiles(folder: Path) -> dict[str, Any]:
    """Estimates the shift between real dates, and what is left of it once the post images are read where it says."""
    with tempfile.TemporaryDirectory() as work:
        before, after = (
            [ImageFile(path, path.name, path.name) for path in sorted((folder / date).glob("*.tif"))]
            for date in ("pre", "post")
        )
        placed = place_images(before, after, Path(work), (3, 3))
        imagery = lay_imagery(placed, {one.name: one.name for one in (*before, *after)})
        field = align(imagery)
        if field is None:
            return {"blocks": 0}
        return _told(field, imagery) | {"after": _told(_rest(imagery, field), imagery)}


def _rest(imagery: Imagery, field: ShiftField) -> ShiftField:
    def moved(part: Any) -> Any:  # noqa: ANN401
        col, row = ~imagery.grid.transform @ (part.transform.c, part.transform.f)
        return imagery.post.mosaic.read(part.shifted(field.at(row + part.height / 2, col + part.width / 2)))

    return estimate_shifts(imagery.grid, imagery.pre.mosaic.read, moved, imagery.post.mosaic.touches)


def _told(field: ShiftField, imagery: Imagery) -> dict[str, Any]:
    right, down, length = field.median_px
    side = imagery.grid.side_m()
    return {
        "blocks": len(field.blocks),
        "trusted": len(field.trusted),
        "right_px": round(right, 2),
        "down_px": round(down, 2),
        "length_px": round(length, 2),
        "length_m": round(length * side, 2),
    }


def distances(buildings: Path, footprints: Path) -> dict[str, Any]:
    """Median distance of found buildings from the footprints that they overlap, as they lie and with that removed."""
    found = gpd.read_parquet(buildings)
    given = gpd.read_file(footprints)
    metric = found.estimate_utm_crs()
    found, given = found.to_crs(metric), given.to_crs(metric)
    here, there = _pairs(found.geometry.to_numpy(), given.geometry.to_numpy())
    one, two = (shapely.get_coordinates(shapely.centroid(shapes)) for shapes in (here, there))
    off = two - one
    shift = np.median(off, axis=0)
    away, left = np.hypot(*off.T), np.hypot(*(off - shift).T)
    return {
        "pairs": len(off),
        "median_m": round(float(np.median(away)), 2),
        "median_without_shift_m": round(float(np.median(left)), 2),
        "shift_east_m": round(float(shift[0]), 2),
        "shift_north_m": round(float(shift[1]), 2),
    }


def _pairs(found: npt.NDArray[Any], given: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Returns buildings and footprints that overlap one to one, by at least a fifth of their union."""
    tree = shapely.STRtree(given)
    left, right = tree.query(found, predicate="intersects")
    shared = shapely.area(shapely.intersection(found[left], given[right]))
    union = shapely.area(found[left]) + shapely.area(given[right]) - shared
    good = shared / union >= 0.2
    left, right, score = left[good], right[good], (shared / union)[good]
    order = np.argsort(-score)
    taken: tuple[set[int], set[int]] = (set(), set())
    kept = []
    for number in order:
        a, b = int(left[number]), int(right[number])
        if a not in taken[0] and b not in taken[1]:
            taken[0].add(a)
            taken[1].add(b)
            kept.append((a, b))
    both = np.array(kept).reshape(-1, 2)
    return found[both[:, 0]], given[both[:, 1]]


if __name__ == "__main__":
    main()
