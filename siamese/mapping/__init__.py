"""Mapping: imagery of two dates to a damage-class raster, buildings with probabilities, and a picture."""

from siamese.mapping.draw import MapFiles, PairPredictor, draw_map
from siamese.mapping.verb import map_pair, map_scene

__all__ = ["MapFiles", "PairPredictor", "draw_map", "map_pair", "map_scene"]
