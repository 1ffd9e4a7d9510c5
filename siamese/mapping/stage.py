"""The stages ``prediction``, ``building-set`` and ``damage-map``: the three steps of a map."""

from __future__ import annotations

from siamese.manifests import BuildingSet, DamageMap, Prediction
from siamese.params import BuildingParams, MappingParams, PredictParams, PublishParams
from siamese.store import Stage

PREDICTION = Stage(Prediction, version=4, package="siamese.mapping", sections={"mapping": PredictParams})
BUILDING_SET = Stage(BuildingSet, version=2, package="siamese.mapping", sections={"mapping": BuildingParams})
DAMAGE_MAP = Stage(DamageMap, version=6, package="siamese.mapping", sections={"mapping": PublishParams})
WHOLE_MAP = Stage(DamageMap, version=1, package="siamese.mapping", sections={"mapping": MappingParams})
"""Version 1 of ``damage-map``, which made maps in one step; these remain valid."""
