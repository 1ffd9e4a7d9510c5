"""What is known of a map when its products are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from siamese.manifests import DamageMap
from siamese.products.model_item import Network


@dataclass(frozen=True)
class MapFacts:
    """A map, and facts about it that its manifest does not hold."""

    map: DamageMap
    made: datetime
    """When it was predicted: the same for whoever makes the products, and whenever."""
    transform: tuple[float, ...] | None = None
    """Affine a b c d e f from (column, row) to coordinates of the crs."""
    pre_date: datetime | None = None
    """When the first image before the disaster was taken."""
    post_date: datetime | None = None
    """When the last image after it was taken."""
    lineage: str = ""
    """How the map was made, in a sentence."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """Identities of the images and their georeference."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The params that differ from their neutral values, by step."""
    code: Mapping[str, str] = field(default_factory=dict)
    """Git revision, and hash of the code, by step."""
    derived_from: tuple[tuple[str, str], ...] = ()
    """Title and address of what the map was made from."""
    predecessor: str | None = None
    """Address of the map that this one replaces."""
    networks: tuple[Network, ...] = ()
    """What predicted it; empty where a checkpoint is gone."""
    score: Mapping[str, Any] | None = None
    """How good the model is, as evaluated."""
    seconds: float | None = None
    """Time of the run that predicted the map, if that is known."""
    km2: float | None = None
    """Ground that the map covers."""

    @property
    def km2_per_hour(self) -> float | None:
        """Speed of the run that predicted the map."""
        return self.km2 / self.seconds * 3600 if self.km2 and self.seconds else None
