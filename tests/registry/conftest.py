"""A real MLflow server for the registry's tests: SQLite, artifacts on the tests' S3 server."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
from builders.published_models import World
from mlflow import MlflowClient

from siamese.store import ObjectStore


@pytest.fixture
def world(store: ObjectStore, mlflow_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """Buckets with a frozen pair set, and a model name of its own on the MLflow server."""
    mlflow.set_tracking_uri(None)  # what an earlier test set would win over the environment
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    return World.make(store, MlflowClient(mlflow_server, mlflow_server), tmp_path)
