"""Pairs: turns accepted scenes into pre/post/mask blocks that training and evaluation read by byte range."""

from siamese.pairs.blocks import PIXEL_CLASSES
from siamese.pairs.index import SceneEntry, read_splits
from siamese.pairs.masks import training_mask
from siamese.pairs.prepare import PairBuilding
from siamese.pairs.reader import TRAINING_MEMORY, PairReader
from siamese.pairs.targets import official_targets
from siamese.pairs.verb import build_pairs

__all__ = [
    "PIXEL_CLASSES",
    "TRAINING_MEMORY",
    "PairBuilding",
    "PairReader",
    "SceneEntry",
    "build_pairs",
    "official_targets",
    "read_splits",
    "training_mask",
]
