"""Training through its public door: whole, cut off, run twice, two at once, gone wrong."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from builders.tinytraining import NETWORK, TRAINING, tiny_learner, tiny_pairs
from waiting import until

from siamese.errors import SiameseError
from siamese.learning.learner import Learner
from siamese.manifests import Checkpoint, PairSet, SceneCatalog
from siamese.model import Predictor, build_network
from siamese.model.weights import deserialize, load_network
from siamese.pairs import PairReader, build_pairs
from siamese.params import NetworkParams, PairsParams, TrainingParams
from siamese.store import ObjectStore, S3Uri
from siamese.training import objective as objective_module
from siamese.training import plan_training, train
from siamese.training import task as task_module
from siamese.training.crops import CropSource
from siamese.training.validation import fit_decision, start_decision


def weights(store: ObjectStore, checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return deserialize(checkpoint.weights.read(store), "x")


def changed(**changes: object) -> TrainingParams:
    return TrainingParams.model_validate(TRAINING.model_dump() | changes)


def objects(store: ObjectStore, digest: str) -> list[str]:
    return sorted(found.uri.name for found in store.list(Checkpoint.folder(store, digest)))


def test_a_training_learns_publishes_once_and_leaves_nothing_behind(store: ObjectStore, pairs: PairSet) -> None:
    params = changed(epochs=12, learning_rate=5e-3)
    checkpoint = train(pairs, NETWORK, params, store)
    assert checkpoint.epochs == 12
    assert 1 <= checkpoint.best_epoch <= 12
    assert checkpoint.start == "random"
    assert checkpoint.validation is not None
    assert checkpoint.validation.localization_f1 > 0.5
    rows = checkpoint.curves.read(store).decode().splitlines()
    assert len(rows) == 13
    losses = [float(row.split(",")[3]) for row in rows[1:]]
    assert losses[-1] < 0.7 * losses[0]
    names = objects(store, checkpoint.digest)
    assert [name.partition("-")[0].partition(".")[0] for name in names] == ["curves", "manifest", "network", "weights"]
    assert train(pairs, NETWORK, params, store) == checkpoint
    reader = PairReader(store, pairs, cache=None)
    pre, post, _ = reader.whole(reader.scenes("val")[0].scene)
    assert set(Predictor.load(store, checkpoint).classify(pre, post).ravel().tolist()) - {0}


def test_a_decision_starts_from_the_params() -> None:
    told = {"building_threshold": 0.45, "damaged_threshold": 0.2, "building_peak": 0.7, "vote_weights": (1, 2, 3, 4)}
    start = start_decision(changed(**told))
    assert (start.building, start.damaged_building, start.building_peak) == (0.45, 0.2, 0.7)
    assert start.class_weights == (1, 2, 3, 4)


def test_vote_weights_stay_on_few_validation_scenes_and_are_fitted_on_many(store: ObjectStore, pairs: PairSet) -> None:
    start = (1.0, 1.0, 1.0, 6.0)  # Calls nearly everything destroyed.
    checkpoint = train(pairs, NETWORK, changed(epochs=20, learning_rate=5e-3, vote_weights=start), store)
    network, config = load_network(store, checkpoint)
    assert config.decision.class_weights == start
    assert config.decision.vote_temperature == config.decision.damage_temperature != 1
    reader = PairReader(store, pairs, cache=None)
    scenes, decision = reader.scenes("val"), start_decision(changed(vote_weights=start))
    assert (config.decision.building, config.decision.damaged_building) == (
        decision.building,
        decision.damaged_building,
    )
    few, many = (fit_decision(network, reader, scenes * times, decision) for times in (1, 10))
    assert (few[0].scores(), few[1]) == (checkpoint.validation, config.decision)
    assert many[1].class_weights != start
    assert many[0].scores().score > 2 * few[0].scores().score


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(store: ObjectStore, pairs: PairSet) -> None:
    first = train(pairs, NETWORK, changed(seed=3), store)
    store.erase(Checkpoint.folder(store, first.digest))
    again = train(pairs, NETWORK, changed(seed=3), store)
    other = train(pairs, NETWORK, changed(seed=4), store)
    assert first.created < again.created
    assert first.weights.sha256 == again.weights.sha256 != other.weights.sha256


def test_resumed_after_sigkill_the_weights_are_those_of_an_uninterrupted_training(
    store: ObjectStore, pairs: PairSet, tmp_path: Path
) -> None:
    params = changed(epochs=4, checkpoint_seconds=0.01)
    whole = train(pairs, NETWORK, params, store)
    expected, folder = weights(store, whole), Checkpoint.folder(store, whole.digest)
    store.erase(folder)
    process = _start(store, pairs, params, tmp_path)
    _until_kept(store, folder, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert Checkpoint.find(store, whole.digest) is None
    resumed = train(pairs, NETWORK, params, store)
    found = weights(store, resumed)
    assert resumed.epochs == 4
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not any("step" in name or "pointer" in name for name in objects(store, whole.digest))


def test_sigterm_keeps_the_state_and_says_how_to_go_on(store: ObjectStore, pairs: PairSet, tmp_path: Path) -> None:
    params = changed(epochs=200)
    folder = Checkpoint.folder(store, plan_training(pairs, NETWORK, params).digest)
    process = _start(store, pairs, params, tmp_path)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step"):
            break
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=120)[1]
    assert "stopped by SIGTERM after step" in told
    assert process.returncode == 1
    assert len([found for found in store.list(folder / "progress") if "step" in found.uri.name]) == 1


def _start(store: ObjectStore, pairs: PairSet, params: TrainingParams, folder: Path) -> subprocess.Popen[str]:
    """Trains in a process of its own."""
    script = folder / "train.py"
    script.write_text(
        "import sys\n"
        "import time\n"
        "from siamese.errors import SiameseError\n"
        "from siamese.manifests import PairSet\n"
        "from siamese.params import NetworkParams, TrainingParams\n"
        "from siamese.store import ObjectStore\n"
        "from siamese.training import train\n"
        "from siamese.learning.learner import Learner\n"
        "step = Learner.step\n"
        "def told(self, *given):\n"
        "    print('step', self.steps, file=sys.stderr, flush=True)\n"
        "    time.sleep(0.5)\n"
        "    return step(self, *given)\n"
        "Learner.step = told\n"
        "store = ObjectStore()\n"
        "network = NetworkParams.model_validate_json(sys.argv[2])\n"
        "params = TrainingParams.model_validate_json(sys.argv[3])\n"
        "try:\n"
        "    train(PairSet.load(store, sys.argv[1]), network, params, store)\n"
        "except SiameseError as error:\n"
        "    sys.exit(str(error))\n"
    )
    settings = {
        f"SIAMESE_{name.upper()}": str(value)
        for name, value in store.settings.model_dump().items()
        if value is not None
    }
    given = [pairs.digest, NETWORK.model_dump_json(), params.model_dump_json()]
    return subprocess.Popen(
        [sys.executable, str(script), *given], env=os.environ | settings, stderr=subprocess.PIPE, text=True
    )


def _until_kept(store: ObjectStore, folder: object, process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    threading.Thread(target=process.stderr.read, daemon=True).start()

    def kept() -> bool:
        assert process.poll() is None, "the training run ended before it could be killed"
        return store.head(folder / "progress" / "pointer.json") is not None  # type: ignore[operator]

    until(kept, "a kept state")


def test_two_at_once_publish_one_checkpoint(store: ObjectStore, pairs: PairSet) -> None:
    params = changed(epochs=1, checkpoint_seconds=0.01)
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: train(pairs, NETWORK, params, store), range(2))
    assert one == two
    assert "manifest.json" in objects(store, one.digest)
    assert one.weights.read(store)


def test_a_loss_that_is_no_number_ends_in_one_line_and_spares_the_last_good_state(
    store: ObjectStore, pairs: PairSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = changed(epochs=4, checkpoint_seconds=0.001)
    whole, calls = objective_module.total_loss, []

    def poisoned(*given: object) -> torch.Tensor:
        calls.append(1)
        loss: torch.Tensor = whole(*given)  # type: ignore[arg-type]
        return loss * math.nan if len(calls) == 5 else loss

    with monkeypatch.context() as patch:
        patch.setattr(objective_module, "total_loss", poisoned)
        with pytest.raises(SiameseError, match=r"the loss is nan.*learning_rate") as caught:
            train(pairs, NETWORK, params, store)
    assert "\n" not in str(caught.value)
    digest = plan_training(pairs, NETWORK, params).digest
    assert Checkpoint.find(store, digest) is None
    folder = Checkpoint.folder(store, digest) / "progress"
    kept = [found.uri for found in store.list(folder) if "step" in found.uri.name]
    assert len(kept) == 1
    assert all(torch.isfinite(tensor).all() for tensor in deserialize(store.get(kept[0]), "x").values())
    checkpoint = train(pairs, NETWORK, params, store)
    assert checkpoint.epochs == 4


def test_averaged_weights_that_are_no_numbers_are_neither_kept_nor_published(
    store: ObjectStore, pairs: PairSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = changed(epochs=3, checkpoint_seconds=0.001)
    average = Learner._update_average

    def poisoned(self: Learner) -> None:
        average(self)
        if self.steps == 7:
            self.average.damage_head.final.bias[0] = math.inf

    monkeypatch.setattr(Learner, "_update_average", poisoned)
    with pytest.raises(SiameseError, match=r"damage_head\.final\.bias of the averaged weights holds a NaN .*step \d"):
        train(pairs, NETWORK, params, store)
    folder = Checkpoint.folder(store, plan_training(pairs, NETWORK, params).digest)
    pointer = json.loads(store.get(folder / "progress" / "pointer.json"))
    assert 4 <= pointer["progress"]["step"] <= 6
    kept = deserialize(store.get(S3Uri.parse(pointer["state"]["uri"])), "x")
    assert any(name.startswith("best.") for name in kept)
    assert all(torch.isfinite(tensor).all() for tensor in kept.values())


def test_a_score_that_is_no_number_does_not_replace_the_best(
    store: ObjectStore, pairs: PairSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = task_module.validate, []

    def poisoned(*given: object) -> object:
        calls.append(1)
        counts = whole(*given)  # type: ignore[arg-type]
        if len(calls) == 1:
            return counts
        unsure = counts.scores().model_copy(update={"score": math.nan})
        return SimpleNamespace(scores=lambda: unsure)

    monkeypatch.setattr(task_module, "validate", poisoned)
    assert train(pairs, NETWORK, changed(epochs=3, keep="best"), store).best_epoch == 1
    assert len(calls) == 3


def test_minutes_end_a_training_and_are_validated_and_published(store: ObjectStore, pairs: PairSet) -> None:
    checkpoint = train(pairs, NETWORK, changed(epochs=10_000, minutes=0.05), store)
    assert checkpoint.epochs >= 1
    assert checkpoint.minutes >= 0.05
    assert checkpoint.validation is not None


def test_frozen_scales_keep_their_weights_and_their_statistics(store: ObjectStore, pairs: PairSet) -> None:
    params = changed(frozen_scales=2)
    trainer = tiny_learner(build_network(NETWORK), params)
    first = {name: tensor.clone() for name, tensor in trainer.average.state_dict().items()}
    source = CropSource(PairReader(store, pairs, cache=None), params)
    for step in range(3):
        trainer.step(source.batch(step), 0.5)
    later = trainer.average.state_dict()
    still = {name for name in first if torch.equal(first[name], later[name]) and "num_batches" not in name}
    shallow = {
        name
        for name in first
        if name.startswith(
            ("encoder.body.conv_stem", "encoder.body.blocks.0", "encoder.body.blocks.1", "encoder.body.bn1")
        )
    }
    assert {name for name in shallow if "num_batches" not in name} <= still
    assert not any(name.startswith("encoder.body.blocks.3") and "weight" in name for name in still)


def test_without_validation_scenes_the_last_weights_are_published(store: ObjectStore) -> None:
    pairs = tiny_pairs(store, scenes=3)
    catalog = SceneCatalog.load(store, pairs.origin.sources["catalog"])
    everything = build_pairs(catalog, PairsParams(val_share=0, test_share=0, block_px=32), store)
    checkpoint = train(everything, NETWORK, changed(epochs=1), store)
    assert checkpoint.validation is None
    assert checkpoint.best_epoch == 1


def test_a_network_that_cannot_be_built_is_refused_before_anything_is_written(
    store: ObjectStore, pairs: PairSet
) -> None:
    unknown = NetworkParams(encoder="resnet_34")
    with pytest.raises(SiameseError, match="timm knows no such encoder"):
        train(pairs, unknown, TRAINING, store)
    assert not objects(store, plan_training(pairs, unknown, TRAINING).digest)
