"""What MLflow gets from a training, and what a training makes of an MLflow that does not answer."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pytest
from builders.tinytraining import NETWORK, TRAINING, tiny_pairs

from siamese.errors import SiameseError
from siamese.learning.learner import Learner
from siamese.store import ObjectStore
from siamese.store.provenance import git_revision
from siamese.training import plan_training, train

PARAMS = TRAINING.model_copy(update={"epochs": 3, "checkpoint_seconds": 0.001})


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    """A real MLflow store: SQLite, artifacts in a folder."""
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "1")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    found = mlflow.MlflowClient()
    found.create_experiment("siamese", artifact_location=str(tmp_path / "artifacts"))
    return found


def test_a_run_holds_params_curves_digests_and_pictures_and_goes_on_after_a_stop(
    store: ObjectStore, client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, steps = tiny_pairs(store), []
    step = Learner.step

    def stopping(self: Learner, *given: object) -> dict[str, float]:
        steps.append(self.steps)
        if len(steps) == 8:
            raise SiameseError("stopped for the test")
        return step(self, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", stopping)
        with pytest.raises(SiameseError, match="stopped for the test"):
            train(pairs, NETWORK, PARAMS, store)
    (cut,) = client.search_runs([client.get_experiment_by_name("siamese").experiment_id])
    assert cut.info.status == "FAILED"
    checkpoint = train(pairs, NETWORK, PARAMS, store)
    (run,) = client.search_runs([client.get_experiment_by_name("siamese").experiment_id])
    assert run.info.run_id == cut.info.run_id == checkpoint.run_id
    assert run.info.status == "FINISHED"
    assert run.data.params["network.encoder"] == NETWORK.encoder
    assert run.data.params["training.epochs"] == "3"
    tags = run.data.tags
    assert tags["siamese.digest"] == checkpoint.digest == plan_training(pairs, NETWORK, PARAMS).digest
    assert tags["siamese.pairs"] == pairs.digest
    assert tags["siamese.catalog"] == pairs.origin.sources["catalog"]
    assert tags["siamese.revision"] == git_revision()
    for name in ("loss", "score", "localization_f1", "damage_f1_destroyed", "crops_per_second"):
        history = client.get_metric_history(run.info.run_id, name)
        assert len({point.step for point in history}) == 3
    final = run.data.metrics["final_score"]
    assert checkpoint.validation is not None
    assert final == pytest.approx(checkpoint.validation.score)
    assert any(name.startswith("system/") for name in run.data.metrics)
    kept = [found.path for found in client.list_artifacts(run.info.run_id)]
    assert {"curves.csv", "checkpoint.json", "network.json", "pictures"} <= set(kept)
    pictures = [found.path for found in client.list_artifacts(run.info.run_id, "pictures")]
    assert pictures == [f"pictures/epoch-{epoch:03d}.png" for epoch in (1, 2, 3)]
    local = client.download_artifacts(run.info.run_id, "checkpoint.json")
    assert json.loads(Path(local).read_text())["weights"]["sha256"] == checkpoint.weights.sha256


def test_a_dead_server_is_a_warning_and_the_training_goes_on(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    params = TRAINING.model_copy(update={"epochs": 1})
    checkpoint = train(tiny_pairs(store, scenes=4), NETWORK, params, store)
    assert caplog.text.count("MLflow does not answer: ") == caplog.text.count("training goes on without it") == 1
    assert checkpoint.run_id is None
    assert checkpoint.epochs == 1
