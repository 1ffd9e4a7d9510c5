"""Declares the stage ``model-version``."""

from __future__ import annotations

from siamese.manifests import ModelVersion
from siamese.store import Stage

MODEL_VERSION = Stage(ModelVersion, version=1, package="siamese.registry", sections={})
