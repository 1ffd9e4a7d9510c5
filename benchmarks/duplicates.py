"""Which planted twins are found, which scenes are taken for twins though they are none, and how long it takes.

python benchmarks/duplicates.py [--minutes 60] [--real FOLDER] [--made 1000] [--made-folder FOLDER] [--planted 43]

Takes real scenes and made-up ones, plants changed copies of one date of each of some scenes, and looks for twins among
all of them at once. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from budget import Budget, add_minutes
from numpy.typing import NDArray

from siamese.duplicates.fingerprint import Fingerprint, fingerprint
from siamese.duplicates.sources import decode, files_of_folder
from siamese.duplicates.twins import ImageName, TwinPair, find_pairs
from siamese.progress import log_to_stderr, progress
from siamese.sample.plan import plan_scene
from siamese.sample.scene import picture

Image = NDArray[np.uint8]
Change = Callable[[Image, np.random.Generator], Image]


def _cut(share: float) -> Change:
    def change(image: Image, rng: np.random.Generator) -> Image:
        height, width = (round(share * side) for side in image.shape[:2])
        top, left = int(rng.integers(image.shape[0] - height + 1)), int(rng.integers(image.shape[1] - width + 1))
        return image[top : top + height, left : left + width]

    return change


def _sized(scale: float) -> Change:
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return lambda image, _: np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=how), np.uint8)


def _jpeg(quality: int) -> Change:
    def change(image: Image, _: np.random.Generator) -> Image:
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)

    return change


def _colour(image: Image, rng: np.random.Generator) -> Image:
    return (image * rng.uniform(0.75, 1.25, 3) + rng.uniform(-25, 25, 3)).clip(0, 255).astype(np.uint8)


def _all_at_once(image: Image, rng: np.random.Generator) -> Image:
    turned = np.rot90(_cut(0.6)(image, rng)[:, ::-1], int(rng.integers(4)))
    return _jpeg(75)(_colour(_sized(0.8)(np.ascontiguousarray(turned), rng), rng), rng)


CHANGES: dict[str, Change] = {
    "flip left-right": lambda image, _: image[:, ::-1],
    "flip top-bottom": lambda image, _: image[::-1],
    "rotation 90": lambda image, _: np.rot90(image),
    "rotation 180": lambda image, _: np.rot90(image, 2),
    "rotation 270": lambda image, _: np.rot90(image, 3),
    "crop to .9 of the side": _cut(0.9),
    "crop to .7 of the side": _cut(0.7),
    "crop to .5 of the side": _cut(0.5),
    "JPEG of quality 75": _jpeg(75),
    "JPEG of quality 30": _jpeg(30),
    "colour": _colour,
    "resize to half": _sized(0.5),
    "resize to a quarter": _sized(0.25),
    "resize by 1.5": _sized(1.5),
    "all at once": _all_at_once,
}


@dataclass
class _Images:
    """Described images."""

    names: list[ImageName] = field(default_factory=list)
    prints: list[Fingerprint] = field(default_factory=list)
    seconds: float = 0.0
    """Processor time of describing them, without decoding."""
    planted: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Kind of change and original scene, by planted scene."""

    def add(self, scene: str, date: str, pixels: Image) -> None:
        """Describes an image."""
        start = time.process_time()
        self.prints.append(fingerprint(np.ascontiguousarray(pixels)))
        self.seconds += time.process_time() - start
        about = {"name": f"{scene}_{date}", "scene": scene, "date": date, "sha256": f"{len(self.names):064x}"}
        self.names.append(ImageName.model_validate(about))

    def plant(self, scene: str, date: str, pixels: Image, rng: np.random.Generator) -> None:
        """Describes every changed copy of an image, each as a scene of its own."""
        for kind, change in CHANGES.items():
            planted = f"planted-{len(self.planted):06d}"
            self.planted[planted] = (kind, scene)
            self.add(planted, date, change(pixels, rng))


def main() -> None:
    """Describes, plants, searches, counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_minutes(parser)
    data = Path(os.environ.get("SIAMESE_DATA", "../shared/data"))
    parser.add_argument("--real", type=Path, default=data / "xbd" / "images", help="images of real xBD scenes")
    parser.add_argument("--made", type=int, default=1000, help="how many made-up scenes")
    parser.add_argument("--made-folder", type=Path, help="images of made-up scenes; by default they are drawn")
    parser.add_argument("--planted", type=int, default=43, help="scenes of each sort that copies are planted of")
    options = parser.parse_args()
    log_to_stderr()
    budget = Budget("duplicates", options.minutes)
    images, rng = _Images(), np.random.default_rng(0)

    def describe(sort: str, scenes: Iterator[tuple[str, str, Image]], most: int) -> int:
        seen: set[str] = set()
        with progress(f"describe {sort} scenes") as advance:
            for scene, date, pixels in scenes:
                if scene not in seen:
                    if len(seen) == most or budget.left_s < 60 * _RESERVE * (options.minutes or 0):
                        break
                    advance()
                seen.add(scene)
                images.add(scene, date, pixels)
                # Copies of one date alone, of each date in turn.
                if len(seen) <= options.planted and date == ("pre", "post")[len(seen) % 2]:
                    images.plant(scene, date, pixels, rng)
        return len(seen)

    real = describe("real", _from_folder(options.real), 10**9) if options.real.is_dir() else 0
    drawn = _from_folder(options.made_folder) if options.made_folder else _drawn()
    made = describe("made-up", drawn, options.made)
    start, wall = time.process_time(), time.perf_counter()
    pairs = list(find_pairs(images.names, images.prints))
    search, wall = time.process_time() - start, time.perf_counter() - wall
    found = {
        "cpus": os.cpu_count(),
        "real_scenes": real,
        "made_scenes": made,
        "images": len(images.names),
        **_judged(pairs, images),
        "describe_cpu_s_per_1000_images": round(1000 * images.seconds / len(images.names), 1),
        "search_cpu_s_per_1000_images": round(1000 * search / len(images.names), 1),
        "search_s": round(wall, 1),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(budget.record(found))


_RESERVE = 0.3
"""Share of the time kept for the search."""


def _judged(pairs: list[TwinPair], images: _Images) -> dict[str, Any]:
    """Returns recall by kind of change, and pairs of scenes that are no twins."""
    found: set[str] = set()
    false: set[tuple[str, str]] = set()
    for pair in pairs:
        scenes = (pair.one.scene, pair.other.scene)
        origins = [images.planted.get(scene, ("", scene))[1] for scene in scenes]
        if origins[0] != origins[1]:
            false.add((min(scenes), max(scenes)))
        else:
            found.update(scene for scene, other in (scenes, scenes[::-1]) if other == origins[0])
    kinds: defaultdict[str, list[bool]] = defaultdict(list)
    for planted, (kind, _) in images.planted.items():
        kinds[kind].append(planted in found)
    every = [hit for hits in kinds.values() for hit in hits]
    return {
        "planted": len(every),
        "recall": round(float(np.mean(every)), 4) if every else None,
        "recall_by_kind": {kind: round(float(np.mean(hits)), 4) for kind, hits in kinds.items()},
        "false_pairs": len(false),
        "false_pairs_named": sorted(false)[:5],
    }


def _from_folder(folder: Path) -> Iterator[tuple[str, str, Image]]:
    for file in files_of_folder(folder):
        yield file.scene, file.date, decode(file.read(), file.name)


def _drawn() -> Iterator[tuple[str, str, Image]]:
    index = 0
    while True:
        plan = plan_scene(index, 1, None)
        made = picture(plan, 1)
        yield plan.name, "pre", made.pre
        yield plan.name, "post", made.post
        index += 1


if __name__ == "__main__":
    main()
