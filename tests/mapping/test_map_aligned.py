"""Dates that lie pixels apart are aligned by blocks, where the estimate can be trusted, and the map says so."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from builders.made_rasters import SMALL, Colours, draw, write

from siamese.embedding.reopening import map_parts, reopened
from siamese.manifests import Checkpoint, Prediction
from siamese.mapping import map_pair
from siamese.mapping.buildings import read_buildings
from siamese.mapping.shifts import PEAK, BlockShift, ShiftField, directions, judged, shift_between
from siamese.store import ObjectStore

SIDE = 512
WIDE = SMALL.model_copy(update={"tile_px": 512, "overlap_px": 0})


def scene(shift: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Destroyed buildings in a place with structure; the post image is shifted right and down."""
    place, day = np.random.default_rng(1), np.random.default_rng(2)
    small = place.integers(40, 140, (64, 64, 3), np.uint8)
    pre = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    post = np.clip(pre.astype(int) + day.integers(-12, 12, pre.shape), 1, 255).astype(np.uint8)
    for row in range(20, SIDE - 40, 60):
        for col in range(20, SIDE - 40, 60):
            pre[row : row + 24, col : col + 24] = (240, 60, 90)
            post[row : row + 24, col : col + 24] = (90, 175, 60)
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    moved = cv2.warpAffine(post, move, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return pre, np.maximum(moved, 1)


@pytest.mark.parametrize("length", [0.5, 1.0, 2.0, 5.0, 10.0])
def test_known_shifts_are_found_and_undone(length: float, tmp_path: Path) -> None:
    shift = length * math.cos(0.6), length * math.sin(0.6)
    pre, post = scene(shift)
    made = draw([write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)], tmp_path, WIDE, aligned=True)
    assert made.shifts is not None
    right, down, found = made.shifts.median_px
    assert math.hypot(right - shift[0], down - shift[1]) < 0.2
    assert found == pytest.approx(length, abs=0.2)
    assert made.shifts.at(SIDE / 2, SIDE / 2) == pytest.approx(shift, abs=0.26)
    rows = list(read_buildings(made.table))
    aligned = np.mean([one.damage[3] for one in rows if one.damage_class != "unknown"])
    still = draw([tmp_path / "a.tif"], [tmp_path / "b.tif"], tmp_path / "still", WIDE)
    apart = np.mean([one.damage[3] for one in read_buildings(still.table) if one.damage_class != "unknown"])
    assert aligned > 0.62, "nearly every pixel of a building is read where it is"
    assert aligned > apart - 0.02
    if length >= 5:
        assert aligned > apart + 0.05


def test_real_scenes_shifted_by_a_known_length_are_found_to_be(real_data: Path) -> None:
    off = []
    for path in sorted((real_data / "xbd" / "images").glob("*_pre_disaster.png"))[:40:8]:
        pre, post = (cv2.imread(str(path).replace("_pre_", f"_{date}_"))[256:768, 256:768] for date in ("pre", "post"))
        seen = np.ones(pre.shape[:2], bool)
        own = shift_between(directions(pre, seen), directions(post, seen))
        if own[2] < PEAK:
            continue
        for right, down in ((0.4, -0.3), (-3.0, 4.0)):
            move = np.array([[1, 0, right], [0, 1, down]], np.float32)
            moved = cv2.warpAffine(post, move, post.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
            found = shift_between(directions(pre, seen), directions(moved, seen))
            off.append(math.hypot(found[0] - own[0] - right, found[1] - own[1] - down))
    assert len(off) >= 4
    assert np.median(off) < 0.25, off


def test_pictures_of_different_places_are_not_aligned(tmp_path: Path) -> None:
    pre, _ = scene((0, 0))
    other = np.random.default_rng(9).integers(1, 255, (64, 64, 3), np.uint8)
    post = cv2.resize(other, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    made = draw([write(tmp_path / "a.tif", pre)], [write(tmp_path / "b.tif", post)], tmp_path, WIDE, aligned=True)
    assert made.shifts is not None
    assert not made.shifts.usable
    assert made.shifts.at(100, 100) == (0, 0)


def test_dates_that_show_different_places_make_no_counts(
    real_data: Path, store: ObjectStore, checkpoint: Checkpoint
) -> None:
    one, other = (real_data / "xbd" / "images" / f"hurricane-michael_00000{name}" for name in ("022", "428"))
    params = WIDE.model_copy(update={"tile_px": 1024})
    given = [f"{one}_pre_disaster.png"], [f"{other}_post_disaster.png"]
    made = map_pair(*given, checkpoint, params, store, predictor=Colours(), event="mixed")
    assert any(line.startswith("the dates cannot be matched, so all ground is unknown") for line in made.warnings)
    assert made.unknown_share == 1
    assert set(made.counts) <= {"unknown"} or sum(made.counts.values()) == made.counts["unknown"]
    assert made.trust is not None
    assert made.trust.reason_shares["misaligned"] > 0.9
    sure = params.model_copy(update={"align": False})
    assert map_pair(*given, checkpoint, sure, store, predictor=Colours(), event="sure").unknown_share < 0.5
    right = [f"{other}_pre_disaster.png"], [f"{other}_post_disaster.png"]
    assert map_pair(*right, checkpoint, params, store, predictor=Colours(), event="right").unknown_share < 0.5


def test_a_block_is_trusted_when_its_neighbours_agree_and_a_field_bends_between_them() -> None:
    blocks = [
        BlockShift(row, col, 2 + col / 1000, -1.0, 0.2) for row in range(0, 2000, 500) for col in range(0, 2000, 500)
    ]
    blocks[5] = BlockShift(blocks[5].row, blocks[5].col, -14.0, 9.0, 0.3)
    blocks[6] = BlockShift(blocks[6].row, blocks[6].col, 2.5, -1.0, 0.01)
    field = ShiftField(judged(blocks))
    assert [number for number, one in enumerate(field.blocks) if not one.trusted] == [5, 6]
    left, right = field.at(1000, 0), field.at(1000, 1500)
    assert left[0] < right[0]
    assert left[1] == right[1] == -1
    assert ShiftField(judged([])).at(0, 0) == (0, 0)


def test_the_map_tells_its_shift_and_keeps_it_as_a_layer(
    store: ObjectStore, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    pre, post = scene((4.0, -3.0))
    given = [str(write(tmp_path / "a.tif", pre))], [str(write(tmp_path / "b.tif", post))]
    made = map_pair(*given, checkpoint, WIDE, store, predictor=Colours())
    assert made.alignment is not None
    assert made.alignment.applied
    assert made.alignment.length_px == pytest.approx(5, abs=0.2)
    assert made.alignment.length_m == pytest.approx(2.5, abs=0.1)
    assert any("the post images are shifted by 5.0 px (2.5 m)" in one for one in made.warnings)
    prediction = Prediction.load(store, str(made.prediction))
    assert prediction.shifts is not None
    layer = json.loads(prediction.shifts.read(store))
    (point,) = layer["features"]
    assert point["properties"]["trusted"]
    assert made.bounds is not None
    assert made.bounds[0] < point["geometry"]["coordinates"][0] < made.bounds[2]
    with reopened(map_parts(made, store), store) as imagery:
        square = imagery.grid.window(200, 200, 64, 64)
        shown, as_it_lies = imagery.aligned_post.read(square)[0], imagery.post.mosaic.read(square)[0]
    # Chips, reports made again and pictures of adapted maps show the same ground in both dates.
    there = scene((0, 0))[1][200:264, 200:264].astype(int)
    assert 4 * np.abs(shown - there).mean() < np.abs(as_it_lies - there).mean()
    off = map_pair(
        *given, checkpoint, WIDE.model_copy(update={"align": False}), store, predictor=Colours(), event="off"
    )
    assert off.alignment is None


def test_real_joplin_tiles_are_aligned_to_each_other(real_data: Path, tmp_path: Path) -> None:
    from siamese.mapping.inputs import ImageFile
    from siamese.mapping.placing import place_images
    from siamese.mapping.predict import align
    from siamese.mapping.task import lay_imagery

    folder = real_data / "joplin"
    pre = [folder / "pre" / "tile_337-10160.tif"]
    post = sorted((folder / "post").glob("*.tif"))
    before, after = ([ImageFile(path, path.name, path.name) for path in paths] for paths in (pre, post))
    placed = place_images(before, after, tmp_path, (3, 3))
    imagery = lay_imagery(placed, {path.name: path.name for path in (*pre, *post)})
    field = align(imagery)
    assert field is not None
    assert field.usable
    with rasterio.open(pre[0]) as dataset:
        assert field.median_px[2] * dataset.res[0] < 15
