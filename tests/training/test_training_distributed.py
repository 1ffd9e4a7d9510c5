"""Several processes train as one: the same curve, one checkpoint, one end."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from builders.tinytraining import NETWORK, TRAINING
from waiting import until

from siamese.errors import SiameseError
from siamese.learning.learner import split
from siamese.learning.processes import ProcessLostError
from siamese.manifests import Checkpoint, PairSet
from siamese.model.weights import deserialize
from siamese.pairs import PairReader
from siamese.params import TrainingParams
from siamese.store import ObjectStore
from siamese.training import plan_training, train
from siamese.training.crops import CropSource


@pytest.fixture(autouse=True)
def same_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """A started process imports what this one was started with."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))


def changed(**changes: object) -> TrainingParams:
    given = {"precision": "fp32", "frozen_scales": 0, "batch": 4, "unknown_disaster": 0.5, "learning_rate": 3e-4}
    return TrainingParams.model_validate(TRAINING.model_dump() | given | changes)


def losses(store: ObjectStore, checkpoint: Checkpoint) -> list[float]:
    return [float(row.split(",")[3]) for row in checkpoint.curves.read(store).decode().splitlines()[1:]]


@pytest.mark.parametrize("changes", [{"epochs": 6}, {"epochs": 4, "accumulate": 2, "localization_share": 0.5}])
def test_two_processes_have_the_loss_curve_of_one_with_the_same_crops(
    changes: dict[str, object], store: ObjectStore, pairs: PairSet
) -> None:
    one = train(pairs, NETWORK, changed(**changes), store)
    expected, weights = losses(store, one), deserialize(one.weights.read(store), "x")
    store.erase(Checkpoint.folder(store, one.digest))
    two = train(pairs, NETWORK, changed(processes=2, **changes), store)
    assert two.created > one.created
    assert two.digest == one.digest
    assert len(set(expected)) == len(expected)
    assert losses(store, two) == pytest.approx(expected, rel=1e-4)
    for name, tensor in deserialize(two.weights.read(store), "x").items():
        # Adam moves even a weight whose gradient is rounding alone by about a learning rate.
        torch.testing.assert_close(tensor, weights[name], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("number", "whom"),
    [(signal.SIGKILL, "training 1"), (signal.SIGTERM, "training 1"), (signal.SIGTERM, "the starting process")],
)
def test_one_process_that_ends_or_is_asked_to_stop_ends_all_and_one_alone_can_go_on(
    number: signal.Signals, whom: str, store: ObjectStore, pairs: PairSet
) -> None:
    params = changed(epochs=6, processes=2, checkpoint_seconds=0.001)
    folder = Checkpoint.folder(store, plan_training(pairs, NETWORK, params).digest)

    def end_one() -> None:
        until(lambda: store.head(folder / "progress" / "pointer.json"), "a kept state")
        found = {child.name: child.pid for child in multiprocessing.active_children()}
        os.kill(found.get(whom) or os.getpid(), number)

    helper = threading.Thread(target=end_one, daemon=True)
    helper.start()
    kind, told = {
        signal.SIGKILL: (ProcessLostError, "process 2 of 2 was ended by SIGKILL — run it again"),
        signal.SIGTERM: (SiameseError, r"stopped by SIGTERM after step \d+; its state is kept"),
    }[number]
    with pytest.raises(kind, match=told) as caught:
        train(pairs, NETWORK, params, store)
    assert "\n" not in str(caught.value)
    assert not [child for child in multiprocessing.active_children() if child.name.startswith("training")]
    assert Checkpoint.find(store, folder.name) is None
    assert store.head(folder / "progress" / "pointer.json")
    if number == signal.SIGKILL:
        resumed = losses(store, train(pairs, NETWORK, changed(epochs=6), store))
        store.erase(folder)
        whole = losses(store, train(pairs, NETWORK, changed(epochs=6), store))
        assert resumed == pytest.approx(whole, rel=1e-3)


def test_torchrun_starts_the_command_in_several_processes_and_one_of_them_tells(
    store: ObjectStore, pairs: PairSet, tmp_path: Path
) -> None:
    params = changed(epochs=2)
    one = train(pairs, NETWORK, params, store)
    expected = losses(store, one)
    store.erase(Checkpoint.folder(store, one.digest))
    file = tmp_path / "params.yaml"
    file.write_text(
        json.dumps({"network": NETWORK.model_dump(mode="json"), "training": params.model_dump(mode="json")})
    )
    settings = {f"SIAMESE_{name.upper()}": str(value) for name, value in store.settings.model_dump().items()}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python"]
    command = [str(Path(sys.executable).parent / "siamese"), "train", "--pairs", pairs.digest, "--params", str(file)]
    done = subprocess.run(
        [*torchrun, *command, "--json"], env=os.environ | settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["origin"]["digest"] == one.digest
    two = Checkpoint.load(store, one.digest)
    assert two.created > one.created
    assert losses(store, two) == pytest.approx(expected, rel=1e-4)


def test_each_process_prepares_its_share_of_every_batch(store: ObjectStore, pairs: PairSet) -> None:
    reader, params = PairReader(store, pairs, cache=None), changed(accumulate=2)
    whole = list(split(CropSource(reader, params).batch(3), 2))
    shares = [list(split(CropSource(reader, params, rank=rank, world=2).batch(3), 2)) for rank in range(2)]
    for number, expected in enumerate(whole):
        for name in expected._fields:
            found = torch.cat([getattr(share[number], name) for share in shares])
            assert torch.equal(found, getattr(expected, name))


def test_a_batch_that_cannot_be_shared_evenly_is_refused(store: ObjectStore, pairs: PairSet) -> None:
    with pytest.raises(SiameseError, match=r"training\.batch: 4 crops cannot be shared by 3 processes"):
        train(pairs, NETWORK, changed(processes=3), store)
