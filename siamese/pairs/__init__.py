"""Pairs: turns accepted scenes into pre/post/mask blocks that training and evaluation read by byte range."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siamese.lazy import lazily

if TYPE_CHECKING:
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

# Pair sets are planned and found without reading images.
__getattr__ = lazily(
    __name__,
    {
        "siamese.pairs.blocks": ("PIXEL_CLASSES",),
        "siamese.pairs.index": ("SceneEntry", "read_splits"),
        "siamese.pairs.masks": ("training_mask",),
        "siamese.pairs.prepare": ("PairBuilding",),
        "siamese.pairs.reader": ("TRAINING_MEMORY", "PairReader"),
        "siamese.pairs.targets": ("official_targets",),
        "siamese.pairs.verb": ("build_pairs",),
    },
)
