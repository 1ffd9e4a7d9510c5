"""This project's own network, trained by its own verb."""

from __future__ import annotations

import csv
import io

from contest.judging import Network
from contest.results import Learned
from siamese.manifests import Checkpoint, PairSet
from siamese.model import Predictor
from siamese.params import Params
from siamese.store import ObjectStore
from siamese.training import train


def train_ours(pairs: PairSet, params: Params, store: ObjectStore) -> tuple[Network, Learned]:
    """Trains the network, or resumes an interrupted training run."""
    checkpoint = train(pairs, params.network, params.training, store)
    learned = Learned(
        minutes=checkpoint.minutes,
        crops=_steps(checkpoint, store) * params.training.crops_a_step,
        epochs=checkpoint.epochs,
        best_epoch=checkpoint.best_epoch,
        start=checkpoint.start,
        validation=checkpoint.validation,
    )
    return Predictor.load(store, checkpoint), learned


def _steps(checkpoint: Checkpoint, store: ObjectStore) -> int:
    rows = list(csv.DictReader(io.StringIO(checkpoint.curves.read(store).decode())))
    return int(rows[-1]["step"])
