"""Imagery along a track, turned, mirrored, or with oblong or finer pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from builders.made_rasters import PLACE, UTM
from builders.placed_scenes import (
    COUNTS,
    EXPECTED,
    SIDE,
    Image,
    Map,
    both,
    on_base,
    place,
    turned,
)


@pytest.mark.parametrize(
    ("angle", "sides"),
    [(20, (0.5, 0.5)), (45, (0.5, 0.5)), (200, (0.5, 0.5)), (-33.3, (0.5, 0.35)), (118, (0.35, 0.5))],
)
def test_along_a_track(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, classes: Callable[..., Any],
    angle: float, sides: tuple[float, float],
) -> None:  # fmt: skip
    paths = []
    for date, image in scene.items():
        rotated, transform = turned(image, angle, *sides)
        paths.append(place(tmp_path / f"{date}.tif", rotated, UTM, transform, nodata=0))
    made = map_files(*paths)
    found, transform = classes(made)
    assert (transform.a, -transform.e, transform.b) == (min(sides), min(sides), 0)
    assert made.counts == COUNTS
    again = on_base(found, transform)
    assert (again != 255).mean() > 0.98
    assert (again == EXPECTED)[again != 255].mean() > 0.985
    (note,) = made.warnings
    assert f"resampled onto a north-up grid of {min(sides)} m pixels in {UTM}: pre (turned by" in note


@pytest.mark.parametrize("kind", ["south-up", "mirrored", "90", "180", "270"])
def test_right_angles_lose_nothing(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, classes: Callable[..., Any],
    kind: str,
) -> None:  # fmt: skip
    changes: dict[str, tuple[Callable[[Image], Image], Affine]] = {
        "south-up": (lambda image: image[::-1], Affine(0.5, 0, PLACE.c, 0, 0.5, PLACE.f - 100)),
        "mirrored": (lambda image: image[:, ::-1], Affine(-0.5, 0, PLACE.c + 100, 0, -0.5, PLACE.f)),
        "90": (lambda image: np.rot90(image), Affine(0, -0.5, PLACE.c + 100, -0.5, 0, PLACE.f)),
        "180": (lambda image: np.rot90(image, 2), Affine(-0.5, 0, PLACE.c + 100, 0, 0.5, PLACE.f - 100)),
        "270": (lambda image: np.rot90(image, 3), Affine(0, 0.5, PLACE.c, 0.5, 0, PLACE.f - 100)),
    }
    change, transform = changes[kind]
    made = map_files(*both(tmp_path, {date: change(image) for date, image in scene.items()}, UTM, transform))
    found, where = classes(made)
    assert where.almost_equals(PLACE, 1e-6)
    np.testing.assert_array_equal(found, EXPECTED)
    assert "not north up" in made.warnings[0]


@pytest.mark.parametrize("date", ["pre", "post"])
def test_one_date_turned_lies_on_the_other_ones_grid(
    scene: dict[str, Image], tmp_path: Path, plain: dict[str, Path], map_files: Map, classes: Callable[..., Any],
    date: str,
) -> None:  # fmt: skip
    rotated, transform = turned(scene[date], 30)
    paths = dict(plain)
    paths[date] = place(tmp_path / "turned.tif", rotated, UTM, transform)
    made = map_files(paths["pre"], paths["post"])
    found, where = classes(made)
    assert (where.c - PLACE.c) % 0.5 == pytest.approx(0, abs=1e-6)
    again = on_base(found, where)
    assert made.counts == COUNTS
    assert (again == EXPECTED)[again != 255].mean() > 0.99
    (note,) = made.warnings
    assert f"{date} (turned by 30°)" in note
    assert ("pre" if date == "post" else "post") not in note.split(": ")[1]


@pytest.mark.parametrize("finer", ["pre", "post"])
def test_the_finer_date_gives_the_resolution(
    scene: dict[str, Image], tmp_path: Path, plain: dict[str, Path], map_files: Map, classes: Callable[..., Any],
    finer: str,
) -> None:  # fmt: skip
    paths = dict(plain)
    twice = scene[finer].repeat(2, axis=0).repeat(2, axis=1)
    paths[finer] = place(tmp_path / "finer.tif", twice, UTM, PLACE @ Affine.scale(0.5))
    made = map_files(paths["pre"], paths["post"])
    assert (made.width, made.height, made.counts) == (2 * SIDE, 2 * SIDE, COUNTS)
    assert (classes(made)[0][::2, ::2] == EXPECTED).mean() > 0.98
    coarser = "post" if finer == "pre" else "pre"
    assert made.warnings == (f"resampled onto a north-up grid of 0.25 m pixels in {UTM}: {coarser} (pixels of 0.5)",)
