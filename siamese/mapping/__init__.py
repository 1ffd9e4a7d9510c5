"""Mapping: turns imagery of two dates into a damage-class raster, buildings with probabilities, and a picture."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from siamese.mapping.decide import find_buildings
    from siamese.mapping.publish import publish_map
    from siamese.mapping.running import PairPredictor
    from siamese.mapping.verb import map_disaster, map_pair, map_scene

__all__ = ["PairPredictor", "find_buildings", "map_disaster", "map_pair", "map_scene", "publish_map"]

_MODULES: Final = {
    "PairPredictor": "siamese.mapping.running",
    "find_buildings": "siamese.mapping.decide",
    "map_disaster": "siamese.mapping.verb",
    "map_pair": "siamese.mapping.verb",
    "map_scene": "siamese.mapping.verb",
    "publish_map": "siamese.mapping.publish",
}


def __getattr__(name: str) -> object:
    """Imports names on first access: PyTorch loads for seconds, and :mod:`siamese.mapping.inputs` does not need it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
