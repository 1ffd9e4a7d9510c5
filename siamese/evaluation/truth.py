"""The truth of a scene, against which a prediction is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from siamese.geo import rasterize
from siamese.metrics import Buildings
from siamese.pairs.masks import class_value, polygonal

Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SceneTruth:
    """One scene with its labels, as rasters.

    Args:
        pre: (H, W, bands) uint8.
        post: The same after the disaster, with its own number of bands.
        mask: (H, W) uint8: 0 background, 1-4 damage, 255 un-classified.
        localization: (H, W) uint8, the official localization target.
        damage: (H, W) uint8 in 0..4, the official damage target.
        buildings: Labelled buildings on the post image.
        disaster_type: The disaster type, as named in the labels.
        unseen: (H, W) bool, where either image holds no data, so that nothing is counted; None if nowhere. There the
            targets are 0 and no building has a pixel.
    """

    pre: Image
    post: Image
    mask: Image
    localization: Image
    damage: Image
    buildings: Buildings
    disaster_type: str = ""
    unseen: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class SceneTask:
    """A scene to be evaluated; its pixels are read only when ``load`` is called."""

    scene: str
    event: str
    load: Callable[[], SceneTruth]


def label_buildings(
    footprints: Sequence[tuple[BaseGeometry, str]], height: int, width: int, unseen: NDArray[np.bool_] | None = None
) -> Buildings:
    """Assigns each labelled building its own number in a raster; where two overlap, the smaller one lies on top.

    Args:
        footprints: Polygon in pixels (x = column, y = row) and xBD subtype of each.
        height: Rows.
        width: Columns.
        unseen: Pixels that belong to no building because no image shows them.
    """
    shapes = [polygonal(footprint) for footprint, _ in footprints]
    order = sorted(range(len(shapes)), key=lambda index: -shapes[index].area)
    numbered = [(shapes[index], index + 1) for index in order if not shapes[index].is_empty]
    ids = np.zeros((height, width), np.int32)
    if numbered:
        rasterize(numbered, out=ids)
    if unseen is not None:
        ids[unseen] = 0
    return Buildings(ids, np.array([class_value(subtype) for _, subtype in footprints], np.uint8))
