"""Mapping: turns imagery of two dates into a damage-class raster, buildings with probabilities, and a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siamese.lazy import lazily

if TYPE_CHECKING:
    from siamese.mapping.decide import find_buildings
    from siamese.mapping.publish import publish_map
    from siamese.mapping.running import PairPredictor
    from siamese.mapping.verb import map_disaster, map_pair, map_scene

__all__ = ["PairPredictor", "find_buildings", "map_disaster", "map_pair", "map_scene", "publish_map"]

# siamese.mapping.inputs needs no network.
__getattr__ = lazily(
    __name__,
    {
        "siamese.mapping.decide": ("find_buildings",),
        "siamese.mapping.publish": ("publish_map",),
        "siamese.mapping.running": ("PairPredictor",),
        "siamese.mapping.verb": ("map_disaster", "map_pair", "map_scene"),
    },
)
