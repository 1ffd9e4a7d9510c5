"""Imagery with coordinates but no CRS, or with nothing at all."""

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
    Image,
    Map,
    both,
    place,
)

from siamese.errors import SiameseError
from siamese.manifests import DamageMap


def test_a_pair_on_one_grid_is_mapped_in_pixels_and_says_so(
    scene: dict[str, Image], tmp_path: Path, map_files: Map, classes: Callable[..., Any]
) -> None:
    made = map_files(*both(tmp_path, scene, None, PLACE))
    np.testing.assert_array_equal(classes(made)[0], EXPECTED)
    assert (made.crs, made.bounds, made.counts, made.unknown_share) == (None, None, COUNTS, 0)
    (note,) = made.warnings
    assert "in pixels: the imagery has a geotransform but no CRS" in note
    assert "--crs EPSG:…" in note
    assert "gdal_edit.py -a_srs" in note


@pytest.mark.parametrize("crs", [UTM, UTM.removeprefix("EPSG:")])
def test_the_crs_can_be_named(
    scene: dict[str, Image], tmp_path: Path, plain: dict[str, Path], map_files: Map, base: DamageMap,
    classes: Callable[..., Any], crs: str,
) -> None:  # fmt: skip
    made = map_files(*both(tmp_path, scene, None, PLACE), crs=crs)
    np.testing.assert_array_equal(classes(made)[0], EXPECTED)
    assert (made.crs, made.bounds, made.event) == (UTM, base.bounds, base.event)
    mixed = map_files(tmp_path / "pre.tif", plain["post"], crs=crs)
    assert (mixed.crs, mixed.counts) == (UTM, COUNTS)


def test_what_a_drawing_program_calls_a_crs_is_none(scene: dict[str, Image], tmp_path: Path, map_files: Map) -> None:
    made = map_files(*both(tmp_path, scene, 'LOCAL_CS["sheet",UNIT["metre",1]]', PLACE))
    assert (made.crs, made.counts) == (None, COUNTS)
    assert "no CRS" in made.warnings[0]


def test_what_cannot_be_placed_is_refused_in_one_line(
    scene: dict[str, Image], tmp_path: Path, plain: dict[str, Path], map_files: Map
) -> None:
    bare = both(tmp_path, scene, None, PLACE)
    moved = place(tmp_path / "moved.tif", scene["post"], None, PLACE @ Affine.translation(3, 0))
    only_crs = place(tmp_path / "only_crs.tif", scene["post"], UTM, None)
    placed = plain["post"]
    for pre, post, crs, why in (
        (bare[0], moved, None, r"pre.tif: has a geotransform but no CRS, and the dates .*--crs"),
        (bare[0], placed, None, r"pre.tif: has a geotransform but no CRS, while other images have .*--crs EPSG"),
        ([bare[0], bare[0]], bare[1], None, r"several images .* geotransform but no CRS.*--crs"),
        (placed, only_crs, None, "only_crs.tif: has a CRS but no geotransform, while"),
        (*bare, "EPSG:1", "EPSG:1: is no CRS of the earth"),
        (*bare, "EPSG:4978", "EPSG:4978: is no CRS of the earth"),
    ):  # fmt: skip
        with pytest.raises(SiameseError, match=why) as raised:
            map_files(pre, post, crs=crs)
        assert "\n" not in str(raised.value)
