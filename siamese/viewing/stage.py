"""The stage ``map-page``: the page of a map as one file."""

from __future__ import annotations

from siamese.manifests import MapPage
from siamese.params import AdaptationParams, EmbeddingParams
from siamese.store import Stage

MAP_PAGE = Stage(
    MapPage,
    version=1,
    package="siamese.viewing",
    sections={"adaptation": AdaptationParams, "embedding": EmbeddingParams},
)
