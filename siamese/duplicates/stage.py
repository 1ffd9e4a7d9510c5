"""The stages ``fingerprints`` and ``duplicates``."""

from __future__ import annotations

from siamese.manifests import Duplicates, Fingerprints
from siamese.store import Stage

FINGERPRINTS = Stage(Fingerprints, version=2, package="siamese.duplicates", sections={})
DUPLICATES = Stage(Duplicates, version=2, package="siamese.duplicates", sections={})
