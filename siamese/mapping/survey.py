"""Looks at samples of both dates before a map is made, so that blind input is refused or stands on the map."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from siamese.errors import SiameseError
from siamese.geo import local_gdal
from siamese.mapping.blocks import POST_MISSING, PRE_MISSING, Bytes
from siamese.mapping.grid import Grid, native_m
from siamese.mapping.look import look_of
from siamese.mapping.mosaic import Image
from siamese.mapping.obscured import find_obscured
from siamese.mapping.reasons import MISSING, Reason
from siamese.mapping.task import Imagery
from siamese.mapping.tiles import GDAL

_PATCH_PX: Final = 256
_PATCHES: Final = 4
"""Down and across."""
_SAME: Final = 0.9
"""From this share of the sample on, both dates are taken for one picture."""
_BLIND: Final = 0.25
"""From this share of the sample on, it stands on the map how much cannot be judged."""
_FAR: Final = 1.5
"""Factor between the GSD of the imagery and that of the training data from which on the map says so."""
_LEAST_SIDE_PX: Final = 64
_OBSCURED: Final = 0.5
"""Of samples of which more cannot be judged, the look is not compared."""


@dataclass(frozen=True)
class Learned:
    """GSD of the images that a network was trained on, in metres."""

    low: float
    """5th percentile."""
    median: float
    high: float
    """95th percentile."""


def check_gsd(imagery: Imagery, coarsest_m: float, learned: Learned | None = None) -> tuple[str, ...]:
    """Compares the size of pixels with what single buildings need and what the network learned, from headers alone.

    Args:
        imagery: Both dates.
        coarsest_m: Images with coarser pixels, in metres, are refused.
        learned: What the network was trained on; None: unknown.

    Returns:
        What is strange, one line each.

    Raises:
        SiameseError: The pixels of a date are too coarse.
    """
    sides = {
        date: [(native_m(tile), tile.name) for tile in tiles if tile.crs is not None]
        for date, tiles in (("pre", imagery.pre.mosaic.tiles), ("post", imagery.post.mosaic.tiles))
    }
    for date, found in sides.items():
        side, name = max(found, default=(0.0, ""))
        if side > coarsest_m:
            what = f"has pixels of {side:.3g} m ({date}), in which no single building can be judged"
            fix = f"give imagery of 0.3 to 1 m, or set mapping.coarsest_m (now {coarsest_m:g})"
            raise SiameseError(what, where=name, fix=fix)
    if learned is None or imagery.grid.crs is None:
        return ()
    coarser = max((side for found in sides.values() for side, _ in found), default=math.nan)
    notes = []
    for side, what in ((coarser, "the imagery has pixels of"), (imagery.grid.side_m(), "the map has pixels of")):
        if side > learned.high * _FAR or side < learned.low / _FAR:
            range_m = f"{learned.low:.2g} to {learned.high:.2g} m"
            finer = side < learned.low
            fix = f"; --gsd {learned.median:.2g} maps it at the size that was learned" if finer else ""
            notes.append(f"{what} {side:.3g} m, but the model was trained on {range_m}{fix}")
    return tuple(notes[:1])


@dataclass(frozen=True)
class Survey:
    """What samples of both dates show."""

    notes: tuple[str, ...] = ()
    """What cannot be judged, one line a reason; empty for good imagery."""
    looks: tuple[tuple[float, ...], ...] = ()
    """:data:`siamese.mapping.look.FEATURES` of each sample that can be judged."""


def survey(imagery: Imagery) -> Survey:
    """Looks at sixteen samples of the ground that both dates show.

    Raises:
        SiameseError: Both dates show the same picture.
    """
    counts = np.zeros(len(Reason), np.int64)
    same = compared = 0
    looks = []
    with local_gdal(**GDAL):
        for pre, post, unseen in _samples(imagery):
            codes, _ = find_obscured(pre, post, unseen)
            seen = ~np.isin(codes, MISSING) | (unseen == 0)
            counts += np.bincount(codes[seen], minlength=len(Reason))
            same += int(((codes == Reason.ONE_DATE) & (unseen == 0)).sum())
            compared += int((unseen == 0).sum())
            look = look_of(pre, post, (unseen & PRE_MISSING == 0, unseen & POST_MISSING == 0))
            if look is not None and (codes > 0).mean() < _OBSCURED:
                looks.append(look)
    if not compared:
        return Survey(("no sampled ground is shown on both dates",))
    textured = same / compared
    if textured >= _SAME:
        names = f"{imagery.pre.mosaic.tiles[0].name} and {imagery.post.mosaic.tiles[0].name}"
        fix = "give images of two dates; there is nothing to compare"
        raise SiameseError("both dates show the same picture", where=names, fix=fix)
    shares = counts / compared
    notes = tuple(
        f"about {share:.0%} of the ground cannot be judged: {Reason(code).word.replace('_', ' ')}"
        for code, share in enumerate(shares)
        if code and share >= _BLIND
    )
    return Survey(notes, tuple(looks))


def _samples(imagery: Imagery) -> Iterator[tuple[Image, Image, Bytes]]:
    """Yields patches of both dates, evenly over the ground that both show."""
    for grid in _patches(imagery.grid):
        if not imagery.pre.mosaic.touches(grid) or not imagery.post.mosaic.touches(grid):
            continue
        before, one = imagery.pre.mosaic.read(grid)
        after, two = imagery.post.mosaic.read(grid)
        if not (one & two).any():
            continue
        unseen = np.where(one, 0, PRE_MISSING) | np.where(two, 0, POST_MISSING)
        yield before, after, unseen.astype(np.uint8)


def _patches(grid: Grid) -> Iterator[Grid]:
    height, width = min(_PATCH_PX, grid.height), min(_PATCH_PX, grid.width)
    if min(height, width) < _LEAST_SIDE_PX:
        return
    places = {
        (round(down * (grid.height - height)), round(across * (grid.width - width)))
        for down in np.linspace(0, 1, _PATCHES)
        for across in np.linspace(0, 1, _PATCHES)
    }
    for row, col in sorted(places):
        yield grid.window(row, col, height, width)
