"""The stage ``damage-map``."""

from __future__ import annotations

from siamese.manifests import DamageMap
from siamese.params import MappingParams
from siamese.store import Stage

DAMAGE_MAP = Stage(DamageMap, version=1, package="siamese.mapping", sections={"mapping": MappingParams})
