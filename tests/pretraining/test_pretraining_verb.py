"""Pre-training through its public door: whole, cut off, run twice, collapsed, gone wrong; and what is made of it."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from builders import tinytraining
from builders.tinytraining import NETWORK, SIDE, tiny_pairs

from siamese.cli import main
from siamese.errors import SiameseError
from siamese.learning.learner import Learner
from siamese.manifests import PairSet, Pretraining
from siamese.model import build_network, load_pretrained, start_from
from siamese.model.encoders import Encoder
from siamese.params import PretrainingParams, load_params
from siamese.pretraining import plan_pretraining, pretrain
from siamese.pretraining.method import Comparison
from siamese.pretraining.simsiam import SimSiam
from siamese.store import ObjectStore, S3Uri

SMALL = {
    "crop_px": 64, "batch": 4, "epochs": 3, "hidden_dim": 32, "projection_dim": 16, "prototypes": 16, "local_crops": 1,
    "context": 1.2, "checkpoint_seconds": 1e9, "loader_threads": 1, "method": "simsiam",
}  # fmt: skip


def params(**changes: object) -> PretrainingParams:
    return PretrainingParams.model_validate(SMALL | changes)


def objects(store: ObjectStore, digest: str) -> list[str]:
    return sorted(found.uri.name for found in store.list(Pretraining.folder(store, digest)))


def test_the_encoder_is_published_once_and_nothing_is_left_behind(store: ObjectStore, pairs: PairSet) -> None:
    made = pretrain(pairs, NETWORK, params(), store)
    assert (made.encoder, made.method, made.bands, made.start) == ("test_efficientnet", "simsiam", 3, "random")
    assert made.pairs == pairs.digest
    assert (made.epochs, made.warning) == (3, None)
    assert made.spread > 0.3
    assert 1 < made.rank <= 3  # a batch of four
    header, *rows = made.curves.read(store).decode().splitlines()
    assert header.startswith("epoch,step,minutes,loss,spread,rank,learning_rate")
    assert len(rows) == 3
    assert int(rows[-1].split(",")[1]) == made.steps
    assert float(rows[-1].split(",")[4]) == pytest.approx(made.spread)
    names = [name.partition("-")[0].partition(".")[0] for name in objects(store, made.digest)]
    assert names == ["curves", "encoder", "manifest"]
    assert pretrain(pairs, NETWORK, params(), store) == made


def test_only_what_decides_the_encoder_is_part_of_the_digest(pairs: PairSet) -> None:
    digest = plan_pretraining(pairs, NETWORK, params()).digest
    assert plan_pretraining(pairs, NETWORK.model_copy(update={"fusion": "difference"}), params()).digest == digest
    assert plan_pretraining(pairs, NETWORK, params(checkpoint_seconds=1.0)).digest == digest
    others = [(NETWORK.model_copy(update={"encoder": "test_resnet"}), params()), (NETWORK, params(method="byol"))]
    assert all(plan_pretraining(pairs, *other).digest != digest for other in others)


@pytest.mark.parametrize("method", ["simsiam", "byol", "dino"])
def test_stopped_by_a_signal_and_resumed_the_weights_are_those_of_an_uninterrupted_one(
    store: ObjectStore, pairs: PairSet, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    given = params(method=method)
    whole = pretrain(pairs, NETWORK, given, store)
    store.erase(Pretraining.folder(store, whole.digest))
    step = Learner.step

    def stopping(self: Learner, *given: object) -> dict[str, float]:
        if self.steps == whole.steps - 2:
            signal.raise_signal(signal.SIGTERM)
        return step(self, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", stopping)
        with pytest.raises(SiameseError, match=f"stopped by SIGTERM after step {whole.steps - 1}; its state is kept"):
            pretrain(pairs, NETWORK, given, store)
    assert Pretraining.find(store, whole.digest) is None
    seen: list[int] = []

    def counting(self: Learner, *given: object) -> dict[str, float]:
        seen.append(self.steps)
        return step(self, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", counting)
        resumed = pretrain(pairs, NETWORK, given, store)
    assert seen == [whole.steps - 1]
    assert resumed.weights.sha256 == whole.weights.sha256
    assert resumed.epochs == whole.epochs
    assert not any("step" in name or "pointer" in name for name in objects(store, whole.digest))


def test_the_encoder_goes_into_a_network_and_a_changed_byte_is_refused(store: ObjectStore, pairs: PairSet) -> None:
    made = pretrain(pairs, NETWORK, params(epochs=1), store)
    tensors = load_pretrained(store, made)
    network = build_network(NETWORK)
    assert tensors.keys() == network.encoder.state_dict().keys()
    assert start_from(network.encoder, store, made) == f"pretraining (simsiam {made.digest})"
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in network.encoder.state_dict().items())
    with pytest.raises(SiameseError):
        start_from(Encoder("test_resnet"), store, made)
    uri = S3Uri.parse(made.weights.uri)
    data = bytearray(store.get(uri))
    data[-1] ^= 1
    store.put(uri, bytes(data))
    with pytest.raises(SiameseError, match="is not what was published"):
        load_pretrained(store, made)


def test_a_collapse_ends_with_a_warning_in_the_manifest_and_the_log(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scene = tinytraining._scene

    def flat(number: int, date: str, bands: int) -> tuple[np.ndarray, dict[str, object]]:
        image = np.full((SIDE, SIDE, bands), 128, np.uint8)
        image[int(date == "pre"), number] += 1  # scenes with the very same file would be taken for neighbours
        return image, scene(number, date, bands)[1]

    monkeypatch.setattr(tinytraining, "_scene", flat)
    same = params(method="byol", epochs=2, colour_jitter=0.0, grey_share=0.0, blur_share=0.0)
    made = pretrain(tiny_pairs(store), NETWORK, same, store)
    assert made.spread < 0.1
    assert made.warning is not None
    assert made.warning.startswith("it collapsed")
    assert made.warning in caplog.text


def test_a_loss_that_is_no_number_ends_in_one_line_and_spares_the_last_good_state(
    store: ObjectStore, pairs: PairSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, whole, calls = params(checkpoint_seconds=0.001), SimSiam.compare, []

    def poisoned(self: SimSiam, *views: object) -> Comparison:
        calls.append(1)
        found = whole(self, *views)  # type: ignore[arg-type]
        return Comparison(found.loss * math.nan, found.embedding) if len(calls) == 2 else found

    with monkeypatch.context() as patch:
        patch.setattr(SimSiam, "compare", poisoned)
        with pytest.raises(SiameseError, match=r"the loss is nan.*pretraining\.learning_rate") as caught:
            pretrain(pairs, NETWORK, given, store)
    assert "\n" not in str(caught.value)
    assert pretrain(pairs, NETWORK, given, store).epochs == 3


def test_minutes_end_it(store: ObjectStore, pairs: PairSet) -> None:
    made = pretrain(pairs, NETWORK, params(epochs=10_000, minutes=0.02), store)
    assert made.minutes >= 0.02
    assert made.epochs < 10_000


def test_views_too_small_are_refused_before_anything_is_written(store: ObjectStore, pairs: PairSet) -> None:
    with pytest.raises(SiameseError, match=r"pretraining\.crop_px: 32 px is too small"):
        pretrain(pairs, NETWORK, params(crop_px=32), store)
    assert not objects(store, plan_pretraining(pairs, NETWORK, params(crop_px=32)).digest)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("pretraining.method=moco", r"pretraining\.method: .*'simsiam', 'byol' or 'dino'"),
        ("pretraining.batch=1", r"pretraining\.batch: .*greater than or equal to 2"),
        ("pretraining.local_min_area=0.5", r"pretraining\.local_min_area: .*above pretraining\.min_area"),
    ],
)
def test_wrong_params_are_one_clear_error(tmp_path: Path, override: str, told: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("")
    with pytest.raises(SiameseError, match=told):
        load_params(file, [override])


def test_the_command_prints_writes_and_marks_what_it_made(
    store: ObjectStore, pairs: PairSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in ("home", "raw_bucket", "lake_bucket", "maps_bucket"):
        monkeypatch.setenv(f"SIAMESE_{name.upper()}", str(getattr(store.settings, name)))
    file, out = tmp_path / "params.yaml", tmp_path / "made.json"
    file.write_text(json.dumps({"network": NETWORK.model_dump(mode="json"), "pretraining": SMALL}))
    words = ["pretrain", "--pairs", pairs.digest, "--params", str(file), "--method", "byol", "--epochs", "1"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--json", "--out", str(out)])
    assert not ended.value.code
    told = json.loads(capsys.readouterr().out)
    assert (told["method"], told["epochs"]) == ("byol", 1)
    made = Pretraining.model_validate_json(out.read_bytes())
    assert made == Pretraining.latest(store) == pretrain(pairs, NETWORK, params(method="byol", epochs=1), store)


def test_mlflow_gets_params_curves_and_the_manifest(
    store: ObjectStore, pairs: PairSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = mlflow.MlflowClient(uri)
    client.create_experiment("siamese", artifact_location=str(tmp_path / "artifacts"))
    made = pretrain(pairs, NETWORK, params(), store)
    run = client.get_run(str(made.run_id))
    assert run.info.status == "FINISHED"
    assert run.data.params["pretraining.method"] == "simsiam"
    assert run.data.params["network.encoder"] == NETWORK.encoder
    assert run.data.tags["siamese.digest"] == made.digest
    assert run.data.tags["siamese.catalog"] == pairs.origin.sources["catalog"]
    for name in ("loss", "spread", "rank"):
        assert len(client.get_metric_history(run.info.run_id, name)) == 3
    kept = {found.path for found in client.list_artifacts(run.info.run_id)}
    assert kept == {"curves.csv", "pretraining.json"}
