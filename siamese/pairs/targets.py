"""Draws the targets that the official xView2 metric is computed against."""

from __future__ import annotations

from collections.abc import Iterable

from shapely.geometry.base import BaseGeometry

from siamese.classes import UNCLASSIFIED
from siamese.pairs.masks import Mask, burn, class_value

_BUILDING = 1


def official_targets(
    pre: Iterable[BaseGeometry], post: Iterable[tuple[BaseGeometry, str]], height: int, width: int
) -> tuple[Mask, Mask]:
    """Draws the official target rasters of building localization and damage.

    Localization comes from the footprints on the pre image, damage from those on the post image, which differ by a
    few pixels of off-nadir shift. As in the reference (DIUx-xView/xView2_scoring), un-classified counts as 1, no
    damage. Overlaps follow :func:`siamese.pairs.masks.training_mask`: the more severe class wins.

    Args:
        pre: Footprints on the pre image, in pixels (x = column, y = row).
        post: Footprint on the post image and xBD subtype of each building.
        height: Rows of the targets.
        width: Columns of the targets.

    Returns:
        localization (height, width) uint8 0 or 1; damage (height, width) uint8 0-4.

    Raises:
        SiameseError: A subtype is not one of xBD's.
    """
    localization = burn(((footprint, _BUILDING) for footprint in pre), height, width)
    damage = burn(((footprint, _official_value(subtype)) for footprint, subtype in post), height, width)
    return localization, damage


def _official_value(subtype: str) -> int:
    value = class_value(subtype)
    return _BUILDING if value == UNCLASSIFIED else value
