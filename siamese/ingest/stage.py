"""The stage ``catalog``."""

from __future__ import annotations

from siamese.manifests import SceneCatalog
from siamese.params import IngestParams
from siamese.store import Stage

CATALOG = Stage(SceneCatalog, version=2, package="siamese.ingest", sections={"ingest": IngestParams})
