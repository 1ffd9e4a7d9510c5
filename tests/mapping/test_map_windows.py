"""Windows cover a map and fade into each other; buildings cut by pieces are found whole."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese.errors import SiameseError
from siamese.mapping.blocks import Block
from siamese.mapping.components import NO_DATA, ComponentFinder
from siamese.mapping.measures import BuildingMeter
from siamese.mapping.probabilities import BlendedBlocks
from siamese.mapping.reasons import Reason
from siamese.mapping.windows import Window, cut, lay_windows, ramp, spans
from siamese.model.decision import Decision, Probabilities, damage_from, number_buildings, rounded

TILES = st.tuples(st.integers(8, 64), st.floats(0, 0.5)).map(lambda found: (found[0], int(found[0] * found[1])))


@given(st.integers(1, 700), TILES, st.integers(-900, 900))
def test_windows_cover_a_length_and_their_weights_add_up_to_one(
    length: int, tiles: tuple[int, int], origin: int
) -> None:
    tile, overlap = tiles
    found = spans(cut(length, tile, overlap, origin))
    total = np.zeros(length)
    for span, later in zip(found, [*found[1:], None], strict=True):
        assert span.size <= tile
        weights = np.ones(span.size)
        weights[: span.fades_in] = ramp(span.fades_in)
        if later:
            weights[span.own :] = 1 - ramp(later.fades_in)
        total[span.start : span.stop] += weights
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert [span.start for span in found[1:]] == [span.core for span in found[:-1]]
    assert (found[0].start, found[-1].core) == (0, length)
    if len(found) > 1:
        assert all((span.start - origin) % (tile - overlap) == 0 for span in found[1:])


@given(st.integers(65, 400), st.integers(0, 200), st.integers(0, 200))
def test_windows_inside_stay_where_they_are_when_a_map_grows(length: int, before: int, after: int) -> None:
    small = {(start + before, stop + before) for start, stop in cut(length, 64, 16)[1:-1]}
    assert small <= set(cut(before + length + after, 64, 16, before))


@settings(deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    TILES,
    st.tuples(st.integers(0, 60), st.integers(0, 60)),
    st.integers(0, 2**32 - 1),
)
def test_what_windows_agree_on_comes_out_unchanged_and_where_it_was(
    height: int, width: int, tiles: tuple[int, int], origin: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    building = rng.random((height, width), np.float32)
    damage = rng.dirichlet((1, 1, 1, 1), (height, width)).astype(np.float32).transpose(2, 0, 1)
    unseen = rng.integers(0, 4, (height, width), np.uint8)
    layout, decision = lay_windows(height, width, *tiles, origin), Decision()
    blocks = {}
    for window in layout:
        area = np.s_[window.rows.start : window.rows.stop, window.cols.start : window.cols.stop]
        blocks[window] = Block.of(Probabilities(building[area], damage[:, *area]), unseen[area], decision)
    blended = BlendedBlocks(layout, decision, blocks.__getitem__)
    expected = rounded(Probabilities(building, damage), decision)
    likely = expected.building >= damage_from(decision)
    done = np.zeros((height, width), bool)
    windows = list(layout)
    rng.shuffle(windows)
    for window in windows:
        piece = blended.piece(window)
        tall, wide = piece.unseen.shape
        area = np.s_[piece.row : piece.row + tall, piece.col : piece.col + wide]
        assert not done[area].any(), "pieces overlap"
        done[area] = True
        np.testing.assert_allclose(piece.found.building, expected.building[area], atol=1e-5)
        kept = likely[area]
        np.testing.assert_allclose(piece.found.damage[:, kept], expected.damage[:, *area][:, kept], atol=1e-5)
        assert not piece.found.damage[:, ~kept].any()
        np.testing.assert_array_equal(piece.unseen, unseen[area])
    assert done.all()


def test_windows_that_disagree_fade_without_a_step() -> None:
    layout, decision, out = lay_windows(1, 100, 60, 20), Decision(), np.zeros(100)
    even = np.full((4, 1, 60), 0.25, np.float32)
    blocks = [
        Block.of(Probabilities(np.full((1, 60), value, np.float32), even), np.zeros((1, 60), np.uint8), decision)
        for value in (0, 1)
    ]
    blended = BlendedBlocks(layout, decision, lambda window: blocks[window.col])
    for window in layout:
        piece = blended.piece(window)
        out[piece.col : piece.col + piece.unseen.shape[1]] = piece.found.building[0]
    steps = np.diff(out)
    assert (steps >= 0).all()
    assert steps.max() <= 1 / 20 + 1e-5
    np.testing.assert_allclose(out[[0, -1]], (0, 1), atol=1e-4)


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_map_of_any_size_is_read_with_four_blocks_in_memory(shuffled: bool) -> None:
    layout, decision = lay_windows(64 * 12, 64 * 20, 96, 32), Decision()
    held: weakref.WeakSet[Block] = weakref.WeakSet()
    read = most = 0

    def block(window: Window) -> Block:
        nonlocal read, most
        found = Block.unknown(np.zeros((window.rows.size, window.cols.size), np.uint8))
        held.add(found)
        read, most = read + 1, max(most, len(held))
        return found

    blended, windows = BlendedBlocks(layout, decision, block), list(layout)
    if shuffled:
        np.random.default_rng(0).shuffle(windows)
    for window in windows:
        blended.piece(window)
    assert most <= 5, "four, and one that is being read"
    assert read <= (4 if shuffled else 2) * len(layout)


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_block_is_the_same_from_its_bytes(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (height, width)
    block = Block(*(rng.integers(0, 256, size, np.uint8) for size in (shape, (3, *shape), shape, shape, shape)))
    again = Block.from_bytes(block.to_bytes(), "here")
    for name in ("building", "damage", "unseen", "reasons", "kept"):
        np.testing.assert_array_equal(getattr(again, name), getattr(block, name))
    assert again.to_bytes() == block.to_bytes()
    with pytest.raises(SiameseError, match="here: is not a block"):
        Block.from_bytes(block.to_bytes()[:-3], "here")


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
    for window in lay_windows(height, width, *tiles):
        rows, cols = window.rows, window.cols
        area = np.s_[rows.start : rows.core, cols.start : cols.core]
        labels[area] = finder.add(rows.start, cols.start, mask[area], seen[area])
    numbers = finder.finish(least)[np.maximum(labels, 0)]

    shown = (mask & seen).astype(np.float32)
    count, whole = number_buildings(
        Probabilities(shown, np.full((4, height, width), 0.25, np.float32)), Decision(growth_px=0, minimum_px=least)
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
    none = np.zeros((height, width), np.uint8)
    near = np.where(random.random((height, width)) < 0.1, np.uint8(Reason.ONE_DATE), none)
    building = random.random((height, width), np.float32)
    damage, votes = (random.random((4, height, width), np.float32) for _ in range(2))
    meter, piece_of = BuildingMeter(int(numbers.max()), width), np.zeros((height, width), int)
    for number, window in enumerate(lay_windows(height, width, *tiles)):
        rows, cols = window.rows, window.cols
        area = np.s_[rows.start : rows.core, cols.start : cols.core]
        inside = numbers[area] > 0
        told = Probabilities(building[area][inside], damage[:, *area][:, inside])
        meter.add(
            rows.start, cols.start, numbers[area], none[area], told, votes[:, *area][:, inside], 0.25, around=near[area]
        )
        piece_of[area] = number
    found = meter.finish()
    assert len(found) == numbers.max()
    for place in range(len(found)):
        inside = numbers == place + 1
        assert found.pixels[place] == inside.sum()
        assert found.area[place] == inside.sum() / 4
        assert found.first[place] == np.flatnonzero(inside)[0]
        assert found.last_piece[place] == piece_of[inside].max()
        assert found.near[place, Reason.ONE_DATE] == near[inside].any()
        np.testing.assert_allclose(found.probability[place], building[inside].mean(), rtol=1e-5)
        np.testing.assert_allclose(found.votes[place], votes[:, inside].mean(1), rtol=1e-5)
        np.testing.assert_allclose(found.damage[place], damage[:, inside].mean(axis=1), rtol=1e-5)
