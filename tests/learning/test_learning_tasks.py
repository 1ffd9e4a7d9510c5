"""A kind of learning that the engine has never heard of gets all its guarantees, and a latest result of its own."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial

import pytest
import torch
from pairstask import PairsParams, PairsTask

from siamese.errors import NotPublishedError, SiameseError
from siamese.learning.engine import learn
from siamese.learning.learner import Learner
from siamese.manifests import Checkpoint
from siamese.model.weights import deserialize
from siamese.store import ObjectStore


@pytest.fixture(autouse=True)
def alone(no_mlflow: None, one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing outside is told; a started process imports what this one was started with."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))


def run(store: ObjectStore, **changes: object) -> Checkpoint:
    return learn(partial(PairsTask, PairsParams.model_validate(changes)), store)


def curve(store: ObjectStore, made: Checkpoint, column: str) -> list[float]:
    header, *rows = (line.split(",") for line in made.curves.read(store).decode().splitlines())
    return [float(row[header.index(column)]) for row in rows]


def test_a_new_task_learns_is_published_once_and_has_a_latest_of_its_own(store: ObjectStore) -> None:
    made = run(store, epochs=6)
    losses = curve(store, made, "loss")
    assert losses[-1] < 0.8 * losses[0]
    assert curve(store, made, "images") == [8.0] * 6
    assert curve(store, made, "distance") == [1.0] * 6
    assert run(store, epochs=6) == made
    made.mark_latest(store)
    assert Checkpoint.latest(store, "similarity") == made
    with pytest.raises(NotPublishedError):
        Checkpoint.latest(store)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_compare_the_images_of_both(store: ObjectStore, accumulate: int) -> None:
    one = run(store, accumulate=accumulate)
    losses, weights = curve(store, one, "loss"), deserialize(one.weights.read(store), "x")
    store.erase(Checkpoint.folder(store, one.digest))
    two = run(store, accumulate=accumulate, processes=2)
    assert (two.digest, two.created > one.created) == (one.digest, True)
    assert curve(store, two, "images") == [8.0] * 3
    assert curve(store, two, "loss") == pytest.approx(losses, rel=1e-4)
    for name, tensor in deserialize(two.weights.read(store), "x").items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-3, atol=1e-4)


def test_stopped_and_resumed_it_ends_with_the_same_weights(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(store)
    store.erase(Checkpoint.folder(store, whole.digest))
    step = Learner.step

    def stopping(self: Learner, *given: object) -> dict[str, float]:
        if self.steps == 5:
            signal.raise_signal(signal.SIGTERM)
        return step(self, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", stopping)
        with pytest.raises(SiameseError, match="pairs: stopped by SIGTERM after step 6; its state is kept"):
            run(store)
    assert run(store).weights.sha256 == whole.weights.sha256
