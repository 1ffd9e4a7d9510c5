"""The stage ``map-products``: products of a map that was published before."""

from __future__ import annotations

from siamese.manifests import MapProducts
from siamese.params import PublishParams
from siamese.store import Stage

MAP_PRODUCTS = Stage(MapProducts, version=3, package="siamese.reporting", sections={"mapping": PublishParams})
