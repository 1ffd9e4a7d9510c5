"""A real MLflow server for the registry's tests: SQLite, artifacts on the tests' S3 server."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from published_models import World
from waiting import until

from siamese.settings import Settings
from siamese.stack.layout import Layout
from siamese.stack.ports import choose
from siamese.stack.services import MLFLOW, tracker
from siamese.store import ObjectStore


@pytest.fixture(scope="session")
def mlflow_server(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    del s3_server
    layout = Layout(tmp_path_factory.mktemp("mlflow"))
    layout.make()
    service = tracker(Settings(), layout, choose({}, {MLFLOW: None}), os.environ)
    service.folder.mkdir(parents=True, exist_ok=True)
    assert service.page
    with (layout.home / "mlflow.log").open("wb") as log:
        server = subprocess.Popen(service.command, env=dict(service.environment), stdout=log, stderr=log)
        try:

            def answers() -> bool:
                assert server.poll() is None, "MLflow ended; see mlflow.log"
                return service.probe(0) is None

            until(answers, "MLflow's first answer", every_s=0.2)
            yield service.page
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture
def world(store: ObjectStore, mlflow_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """Buckets with a frozen pair set, and a model name of its own on the MLflow server."""
    mlflow.set_tracking_uri(None)  # what an earlier test set would win over the environment
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    return World.make(store, MlflowClient(mlflow_server, mlflow_server), tmp_path)
