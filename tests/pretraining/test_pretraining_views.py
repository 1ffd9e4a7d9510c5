"""Views: which places, which dates, what is done to them, and that nothing but seed, step and place decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese.errors import SiameseError
from siamese.params import PretrainingParams
from siamese.pretraining.views import ViewSource

PLAIN = {"colour_jitter": 0.0, "grey_share": 0.0, "blur_share": 0.0}


@dataclass(frozen=True)
class MadeScene:
    """As much of a SceneEntry as views look at."""

    scene: str
    height: int = 200
    width: int = 160
    pre_bands: int = 3
    post_bands: int = 3


@dataclass
class MadeReader:
    """A reader of scenes in memory: the first two bands of a pixel say where it lies, the last its date."""

    black: bool = False
    names: tuple[str, ...] = ("a", "b", "c")
    bands: tuple[int, int] = (3, 3)
    unlabelled: tuple[str, ...] = ()
    pair_set: object = field(default_factory=lambda: SimpleNamespace(digest="0123456789abcdef"))
    asked: list[tuple[str, int, int, int]] = field(default_factory=list)

    def scenes(self, split: str) -> tuple[MadeScene, ...]:
        """Three to learn from; one in any other split."""
        pre, post = self.bands
        names = {"train": self.names, "unlabelled": self.unlabelled}.get(split, ("secret",))
        return tuple(MadeScene(name, pre_bands=pre, post_bands=post) for name in names)

    def crop(self, scene: str, row: int, col: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A square of both dates and an empty mask; it must lie inside, in a scene to learn from."""
        assert scene != "secret", "a view of a scene outside the train split"
        assert 0 <= row <= 200 - size, "a view beyond the edge"
        assert 0 <= col <= 160 - size, "a view beyond the edge"
        self.asked.append((scene, row, col, size))
        pixels = np.zeros((200, 160, 3), np.uint8)
        pixels[..., 0], pixels[..., 1] = np.arange(200)[:, None], np.arange(160)
        if self.black:
            pixels[40:] = 0
        dates = [pixels.copy(), pixels.copy()]
        for date, value in zip(dates, (100, 200), strict=True):
            date[..., 2] = value * date.any(-1)
        wanted = [np.tile(date, 2)[..., -count:] for date, count in zip(dates, self.bands, strict=True)]
        pre, post = (date[row : row + size, col : col + size] for date in wanted)
        return pre, post, np.zeros((size, size), np.uint8)


def source(reader: MadeReader | None = None, encoder_bands: int = 3, **changes: object) -> ViewSource:
    params = PretrainingParams.model_validate({"crop_px": 64, "batch": 4, "local_crops": 2} | changes)
    return ViewSource(reader or MadeReader(), params, encoder_bands)  # type: ignore[arg-type]


def dates(views: list[np.ndarray]) -> list[int]:
    return [int(np.median(view[..., -1])) for view in views]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 10_000), st.integers(0, 3), st.sampled_from(["simsiam", "dino"]))
def test_views_are_a_pure_function_of_seed_step_and_place(seed: int, step: int, number: int, method: str) -> None:
    one, two = (source(seed=seed, method=method) for _ in range(2))
    two.batch(step + 1)  # what was shown before does not matter
    first, second = one.views(step, number), two.views(step, number)
    assert len(first) == {"simsiam": 2, "dino": 4}[method]
    assert all(np.array_equal(*pair) for pair in zip(first, second, strict=True))
    batch = one.batch(step)
    assert all(
        np.array_equal(view.numpy()[number].transpose(1, 2, 0), image) for view, image in zip(batch, first, strict=True)
    )


def test_another_seed_step_or_place_shows_other_views() -> None:
    shown = [source(seed=seed).views(step, number)[0] for seed, step, number in
             ((1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1))]  # fmt: skip
    assert len({view.tobytes() for view in shown}) == 4


def test_a_batch_has_two_large_views_and_dinos_small_ones() -> None:
    batch = source(method="dino").batch(0)
    assert [tuple(view.shape) for view in batch] == [(4, 3, 64, 64)] * 2 + [(4, 3, 64, 64)] * 2
    assert [tuple(view.shape) for view in source(method="dino", local_px=32).batch(0)[2:]] == [(4, 3, 32, 32)] * 2
    assert len(source(method="byol").batch(0)) == 2
    assert all(view.dtype == torch.uint8 for view in batch)


def test_views_come_from_one_date_or_from_both() -> None:
    one_date = source(**PLAIN)
    seen = [dates(one_date.views(step, number)) for step in range(10) for number in range(4)]
    assert {tuple(found) for found in seen} == {(100, 100), (200, 200)}
    both = source(views="dates", method="dino", **PLAIN)
    assert all(dates(both.views(step, 0)) == [100, 200, 100, 200] for step in range(10))


def places(one: np.ndarray, two: np.ndarray) -> Iterator[tuple[range, range]]:
    for band in (0, 1):
        yield tuple(range(int(view[..., band].min()), int(view[..., band].max()) + 1) for view in (one, two))  # type: ignore[misc]


def test_two_views_show_the_same_ground_in_other_cuts() -> None:
    plain = source(min_area=0.3, **PLAIN)
    for step in range(10):
        one, two = plain.views(step, 0)
        assert not np.array_equal(one, two)
        for first, second in places(one, two):
            assert set(first) & set(second)


def test_every_scene_is_shown_once_a_round_and_none_outside_the_train_split() -> None:
    reader = MadeReader()
    shown = source(reader, batch=3)
    for step in range(5):
        reader.asked.clear()
        shown.batch(step)
        assert sorted(scene for scene, *_ in reader.asked) == ["a", "b", "c"]


def test_black_places_are_avoided() -> None:
    dark = source(MadeReader(black=True), context=1.0, min_area=1.0, **PLAIN)
    seen = [dark.views(step, number)[0].any(-1).mean() > 0.5 for step in range(20) for number in range(4)]
    plain_luck = np.mean([row + 32 < 40 for row in range(200 - 64 + 1)])
    assert np.mean(seen) > 2 * plain_luck


def test_nothing_to_learn_from_is_one_clear_error() -> None:
    with pytest.raises(SiameseError, match="0123456789abcdef: has no scenes to learn from"):
        source(MadeReader(names=()))


@pytest.mark.parametrize(
    ("bands", "encoder", "shown"), [((3, 1), 3, {100}), ((3, 1), 1, {200}), ((4, 4), 4, {100, 200})]
)
def test_only_dates_with_the_encoders_bands_are_shown(bands: tuple[int, int], encoder: int, shown: set[int]) -> None:
    plain = source(MadeReader(bands=bands), encoder, **PLAIN)
    assert {date for step in range(20) for date in dates(plain.views(step, 0))} == shown
    changed = source(MadeReader(bands=bands), encoder, grey_share=1.0, blur_share=1.0).batch(0)
    assert [tuple(views.shape) for views in changed] == [(4, encoder, 64, 64)] * 2


def test_scenes_that_do_not_fit_the_encoder_are_refused_by_name() -> None:
    mixed = MadeReader(bands=(3, 1))
    with pytest.raises(SiameseError, match="a: has bands 3 before and 1 after; this encoder takes 4"):
        source(mixed, 4)
    with pytest.raises(
        SiameseError, match=r"a: has bands 3 before and 1 after; .*views=dates this encoder takes, of both"
    ):
        source(mixed, 3, views="dates")


def test_a_scene_smaller_than_a_place_is_shown_whole() -> None:
    reader = MadeReader()
    source(reader, crop_px=320).batch(0)
    assert {size for *_, size in reader.asked} == {160}


@pytest.mark.parametrize("key", ["grey_share", "blur_share", "colour_jitter"])
def test_each_change_changes_views(key: str) -> None:
    plain, changed = source(**PLAIN), source(**PLAIN | {key: 1.0})
    one, two = plain.views(3, 1)[0], changed.views(3, 1)[0]
    assert not np.array_equal(one, two)
    if key == "grey_share":
        assert np.array_equal(two[..., 0], two[..., 2])


def test_scenes_without_labels_are_shown_beside_those_of_train() -> None:
    reader = MadeReader(unlabelled=("d", "e"))
    source = ViewSource(reader, PretrainingParams(**PLAIN, batch=10, crop_px=64))  # type: ignore[arg-type]
    source.batch(0)
    assert {scene for scene, *_ in reader.asked} == {"a", "b", "c", "d", "e"}
