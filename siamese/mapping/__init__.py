"""Mapping: imagery of two dates to a damage-class raster, buildings with probabilities, and a picture."""

from siamese.mapping.decide import find_buildings
from siamese.mapping.predict import PairPredictor, predict
from siamese.mapping.publish import publish_map
from siamese.mapping.verb import map_pair, map_scene

__all__ = ["PairPredictor", "find_buildings", "map_pair", "map_scene", "predict", "publish_map"]
