"""Windows cover a map and fade into each other; buildings cut by pieces are found whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese.mapping.components import NO_DATA, ComponentFinder
from siamese.mapping.measures import BuildingMeter
from siamese.mapping.windows import Blender, spans, walk
from siamese.model.decision import Decision, Prediction, number_buildings

TILES = st.tuples(st.integers(8, 64), st.floats(0, 0.5)).map(lambda found: (found[0], int(found[0] * found[1])))


@given(st.integers(1, 700), TILES)
def test_windows_cover_a_length_and_their_weights_add_up_to_one(length: int, tiles: tuple[int, int]) -> None:
    tile, overlap = tiles
    found = spans(length, tile, overlap)
    total = np.zeros(length)
    for span in found:
        assert span.size <= tile
        total[span.start : span.stop] += span.weights()
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert [span.start for span in found[1:]] == [span.core for span in found[:-1]]
    assert (found[0].start, found[-1].core) == (0, length)


@settings(deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), TILES, st.integers(0, 2**32 - 1))
def test_what_windows_agree_on_comes_out_unchanged_and_where_it_was(
    height: int, width: int, tiles: tuple[int, int], seed: int
) -> None:
    tile, overlap = tiles
    field = np.random.default_rng(seed).random((2, height, width), np.float32)
    blender, out = Blender(2, width, overlap), np.full(field.shape, np.nan)
    for rows, cols in walk(height, width, tile, overlap):
        core = blender.add(rows, cols, field[:, rows.start : rows.stop, cols.start : cols.stop])
        _, tall, wide = core.values.shape
        area = np.s_[:, core.row : core.row + tall, core.col : core.col + wide]
        assert np.isnan(out[area]).all(), "pieces overlap"
        out[area] = core.values
    np.testing.assert_allclose(out, field, atol=1e-5)


def test_windows_that_disagree_fade_without_a_step() -> None:
    blender, out = Blender(1, 100, 20), np.zeros((1, 1, 100))
    for number, (rows, cols) in enumerate(walk(1, 100, 60, 20)):
        core = blender.add(rows, cols, np.full((1, 1, cols.size), number, np.float32))
        out[:, :, core.col : core.col + core.values.shape[2]] = core.values
    steps = np.diff(out[0, 0])
    assert (steps >= 0).all()
    assert steps.max() <= 1 / 20 + 1e-6
    assert (out[0, 0, 0], out[0, 0, -1]) == (0, 1)


@settings(deadline=None)
@given(
    st.integers(1, 24),
    st.integers(1, 24),
    st.floats(0.2, 0.8),
    st.floats(0, 0.2),
    st.integers(0, 6),
    st.tuples(st.integers(2, 9), st.integers(0, 1)),
    st.integers(0, 2**32 - 1),
)
def test_components_found_by_pieces_are_those_found_at_once(
    height: int, width: int, share: float, hidden: float, least: int, tiles: tuple[int, int], seed: int
) -> None:
    random = np.random.default_rng(seed)
    mask, seen = random.random((height, width)) < share, random.random((height, width)) >= hidden
    finder, labels = ComponentFinder(width), np.zeros((height, width), int)
    for rows, cols in walk(height, width, *tiles):
        area = np.s_[rows.start : rows.core, cols.start : cols.core]
        labels[area] = finder.add(rows.start, cols.start, mask[area], seen[area])
    numbers = finder.finish(least)[np.maximum(labels, 0)]

    shown = (mask & seen).astype(np.float32)
    count, whole = number_buildings(
        Prediction(shown, np.full((4, height, width), 0.25, np.float32)), Decision(growth_px=0, minimum_px=least)
    )
    np.testing.assert_array_equal(labels == NO_DATA, ~seen)
    np.testing.assert_array_equal(labels > 0, mask & seen)
    np.testing.assert_array_equal(numbers, whole)
    assert count == numbers.max()
    firsts = [np.flatnonzero(numbers == number)[0] for number in range(1, count + 1)]
    assert firsts == sorted(firsts)


@settings(deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 6), st.tuples(st.integers(2, 9), st.integers(0, 1)))
def test_buildings_measured_by_pieces_are_those_measured_at_once(
    height: int, width: int, count: int, tiles: tuple[int, int]
) -> None:
    random = np.random.default_rng((height, width, count))
    raw = random.integers(-1, count + 1, (height, width))
    _, inverse = np.unique(np.maximum(raw, 0), return_inverse=True)
    numbers = (inverse if (raw <= 0).any() else inverse + 1).reshape(raw.shape).astype(np.int32)
    near = random.random((height, width)) < 0.1
    building = random.random((height, width), np.float32)
    damage, votes = (random.random((4, height, width), np.float32) for _ in range(2))
    meter, piece_of = BuildingMeter(int(numbers.max()), width), np.zeros((height, width), int)
    for number, (rows, cols) in enumerate(walk(height, width, *tiles)):
        area = np.s_[rows.start : rows.core, cols.start : cols.core]
        inside = numbers[area] > 0
        told = Prediction(building[area][inside], damage[:, *area][:, inside])
        meter.add(rows.start, cols.start, numbers[area], near[area], told, votes[:, *area][:, inside], 0.25)
        piece_of[area] = number
    found = meter.finish()
    assert len(found) == numbers.max()
    for place in range(len(found)):
        inside = numbers == place + 1
        assert found.pixels[place] == inside.sum()
        assert found.area[place] == inside.sum() / 4
        assert found.first[place] == np.flatnonzero(inside)[0]
        assert found.last_piece[place] == piece_of[inside].max()
        assert found.touches_no_data[place] == (near & inside).any()
        np.testing.assert_allclose(found.probability[place], building[inside].mean(), rtol=1e-5)
        np.testing.assert_allclose(found.votes[place], votes[:, inside].mean(1), rtol=1e-5)
        np.testing.assert_allclose(found.damage[place], damage[:, inside].mean(axis=1), rtol=1e-5)
