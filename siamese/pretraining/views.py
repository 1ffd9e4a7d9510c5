"""Selects the views of a step: a pure function of seed, step and place, so that a resumed run continues unchanged."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from siamese.errors import SiameseError
from siamese.geo import by_fours
from siamese.learning.augment import Image, recoloured, shuffled, turned
from siamese.pairs import PairReader, SceneEntry
from siamese.params import PretrainingParams

Views = tuple[Tensor, ...]
"""Two large views ``(N, bands, S, S)`` uint8, then small ones ``(N, bands, s, s)``; item n of each shows one place."""

_TRIES = 4
_BLUR_PX = (0.1, 2.0)


class ViewSource:
    """Draws places from scenes, and views of them.

    A place is a square on the ground, slightly larger than a view. Every view is a random square of it, resized to the
    view's size, so the scale changes but buildings keep their shape; then its colours, sharpness and heading change,
    independently per view. Training and map images share one scale (metres per pixel) too, so a large view changes it
    less than the views of photographs in the papers do.
    """

    def __init__(self, reader: PairReader, params: PretrainingParams, bands: int = 3) -> None:
        """Prepares to draw from the train split and the unlabelled scenes of ``reader``; held-out ones are never used.

        Args:
            reader: The pair set.
            params: Determines what a view shows.
            bands: Number of bands that the encoder takes. Dates with another number of bands are not shown.

        Raises:
            SiameseError: There is no scene, or neither date of a scene (``views: dates``: not both) has these bands.
        """
        self._reader, self._params, self._bands = reader, params, bands
        self.scenes = reader.scenes("train") + reader.scenes("unlabelled")
        if not self.scenes:
            fix = "lower val_share, test_share"
            raise SiameseError("has no scenes to learn from", where=reader.pair_set.digest, fix=fix)
        for entry in self.scenes:
            self._check(entry)
        self._place_px = round(params.crop_px * params.context)
        places = sum(
            max(1.0, entry.height / self._place_px) * max(1.0, entry.width / self._place_px) for entry in self.scenes
        )
        self.steps_an_epoch = max(1, round(places / params.batch))

    def batch(self, step: int) -> Views:
        """Returns the views of a step."""
        places = [self.views(step, number) for number in range(self._params.batch)]
        return tuple(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) for images in zip(*places, strict=True))

    def views(self, step: int, number: int) -> list[Image]:
        """Returns the views of one place of a step: two of ``(S, S, bands)`` uint8, then the small ones."""
        params = self._params
        rng = np.random.default_rng((params.seed, step, number))
        entry = self.scenes[shuffled(step * params.batch + number, len(self.scenes), params.seed)]
        dates = self._place(entry, rng)
        sizes = [(params.crop_px, (params.min_area, 1.0))] * 2
        if params.method == "dino":
            sizes += [(params.local_px, (params.local_min_area, params.min_area))] * params.local_crops
        return [_view(dates[order % len(dates)], side, areas, params, rng) for order, (side, areas) in enumerate(sizes)]

    def _place(self, entry: SceneEntry, rng: np.random.Generator) -> list[Image]:
        """Returns a square of a scene on the dates that views are cut from; retries where most of it is black."""
        side = min(self._place_px, entry.height, entry.width)
        wanted = self._fitting(entry)
        if self._params.views == "augmented":
            wanted = [wanted[int(rng.integers(len(wanted)))]]
        images: list[Image] = []
        for _ in range(_TRIES):
            row, col = int(rng.integers(entry.height - side + 1)), int(rng.integers(entry.width - side + 1))
            dates = self._reader.crop(entry.scene, row, col, side)
            images = [dates[date] for date in wanted]
            if min(image.any(-1).mean() for image in images) > 0.5:
                break
        return images

    def _fitting(self, entry: SceneEntry) -> list[int]:
        """Returns the dates that the encoder can take: 0 is pre, 1 is post."""
        return [date for date, bands in enumerate((entry.pre_bands, entry.post_bands)) if bands == self._bands]

    def _check(self, entry: SceneEntry) -> None:
        needed = 2 if self._params.views == "dates" else 1
        if len(self._fitting(entry)) < needed:
            which = "this encoder takes" if needed == 1 else "with pretraining.views=dates this encoder takes, of both,"
            what = f"has bands {entry.pre_bands} before and {entry.post_bands} after; {which} {self._bands}"
            fix = "set network.bands to those of a date, and pretraining.views=augmented where the dates differ"
            raise SiameseError(what, where=entry.scene, fix=fix)


def _view(
    place: Image, side: int, areas: tuple[float, float], params: PretrainingParams, rng: np.random.Generator
) -> Image:
    """Cuts a random square with a share of a place's area, resizes it to ``(side, side, bands)`` and augments it."""
    cut = max(1, round(len(place) * rng.uniform(*areas) ** 0.5))
    row, col = rng.integers(len(place) - cut + 1, size=2)
    smooth = cv2.INTER_AREA if cut > side else cv2.INTER_LINEAR
    square = place[row : row + cut, col : col + cut]
    view = by_fours(square, lambda bands: cv2.resize(bands, (side, side), interpolation=smooth))
    if params.colour_jitter:
        view = recoloured(view, params.colour_jitter, rng)
    if rng.random() < params.grey_share and view.shape[2] == 3:
        view = np.asarray(cv2.cvtColor(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)
    if rng.random() < params.blur_share:
        blur_px = float(rng.uniform(*_BLUR_PX))
        view = by_fours(view, lambda bands: cv2.GaussianBlur(bands, (0, 0), blur_px))
    return turned(view, int(rng.integers(4)), flip=bool(rng.integers(2)))
