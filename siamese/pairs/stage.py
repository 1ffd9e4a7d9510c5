"""The stage ``pair-set``."""

from __future__ import annotations

from siamese.manifests import PairSet
from siamese.params import PairsParams
from siamese.store import Stage

PAIR_SET = Stage(PairSet, version=2, package="siamese.pairs", sections={"pairs": PairsParams})
