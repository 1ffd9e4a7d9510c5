"""Little scenes in xBD's layout, as files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image
from shapely import Polygon, affinity, box

from builders.tinyscenes import scene_label

SUBTYPES = ("no-damage", "minor-damage", "major-damage", "destroyed", "un-classified")


@dataclass(frozen=True)
class LittleScene:
    """A scene with bright buildings on dark ground; ``seed`` says which."""

    name: str
    seed: int
    count: int = 8
    height: int = 96
    width: int = 128

    def buildings(self) -> list[tuple[Polygon, Polygon, str]]:
        """Footprint before and after, and subtype, of each building; before is 2 pixels off."""
        random = np.random.default_rng(self.seed)
        found = []
        for number in range(self.count):
            x, y = random.integers(0, self.width - 22), random.integers(0, self.height - 20)
            shape = box(x, y, x + random.integers(8, 20), y + random.integers(8, 18))
            found.append((affinity.translate(shape, 2, 1), shape, SUBTYPES[(self.seed + number) % 5]))
        return found

    def files(self, folder: str = "") -> Iterator[tuple[str, bytes]]:
        """Path and bytes of each of the scene's files."""
        base = f"{folder}/" if folder else ""
        for date in ("pre", "post"):
            name = f"{self.name}_{date}_disaster"
            yield f"{base}images/{name}.png", self._image(date)
            yield f"{base}labels/{name}.json", self._label(date)

    def _image(self, date: str) -> bytes:
        random = np.random.default_rng([self.seed, len(date)])
        pixels = random.integers(20, 70, (self.height, self.width, 3))
        for number, (pre, post, _) in enumerate(self.buildings()):
            left, top, right, bottom = map(int, (pre if date == "pre" else post).bounds)
            pixels[top:bottom, left:right] += 40 + 12 * (number % 8)
        out = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "PNG")
        return out.getvalue()

    def _label(self, date: str) -> bytes:
        size = self.width, self.height
        return scene_label(self.name, date, self.buildings(), "wind", east=0.1 * self.seed, size=size)


def little_scenes() -> list[LittleScene]:
    """Seven scenes of two events, one of them without buildings."""
    return [
        LittleScene(f"{'storm' if number % 2 else 'big-flood'}_{number:08d}", number, 0 if number == 5 else 8)
        for number in range(7)
    ]
