"""The verb ``train``: a pair set to a trained network, resumable after any interruption."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from siamese.manifests import Checkpoint, PairSet, Pretraining
from siamese.model import put_network
from siamese.model.imagenet import RANDOM
from siamese.model.precision import best_device
from siamese.pairs import TRAINING_MEMORY, PairReader
from siamese.params import NetworkParams, TrainingParams
from siamese.settings import Settings
from siamese.store import ObjectStore, Origin, put_blob
from siamese.store.stage import Input
from siamese.training.crops import check_shares
from siamese.training.curves import write_curves
from siamese.training.distributed import joined, joined_group, run_processes
from siamese.training.follow import follow
from siamese.training.reduce import from_first, rank, share_weights
from siamese.training.resume import Progress, ProgressKeeper
from siamese.training.session import Session
from siamese.training.stage import CHECKPOINT
from siamese.training.start import first_network, seeded_network
from siamese.training.stopping import stop_on_signal
from siamese.training.tracking import Tracker, run_params, run_tags
from siamese.training.trainer import Trainer
from siamese.training.validation import fit_decision


def train(
    pairs: PairSet,
    network: NetworkParams,
    params: TrainingParams,
    store: ObjectStore,
    *,
    parent: Checkpoint | Pretraining | None = None,
) -> Checkpoint:
    """Trains a network; if that is done already, says so at once; if it was cut off, goes on from its last state.

    Args:
        pairs: What ``pairs`` published.
        network: Which network.
        params: How it is trained. With ``minutes``, how much is learned depends on the machine's speed; without,
            the same seed gives the same weights on the same machine, however often the training was cut off.
        store: Where to.
        parent: What to start from. A model: every tensor of it whose name and shape fit is taken. A pre-trained
            encoder. None starts from ImageNet weights, or from random ones.

    Returns:
        The published checkpoint: averaged weights (of the last epoch, or of the best by ``keep``), with the decision
        fitted on the validation split.

    Raises:
        SiameseError: There is nothing to train on, the network cannot be built, the parent has another encoder, the
            loss is not a number, or the training was asked to stop (its state is kept).
    """
    job = Job(pairs, network, params, store, parent)
    if params.processes == 1 or joined():
        with joined_group():
            return _train(job)
    check_shares(params, params.processes)
    found = Checkpoint.find(store, job.origin.digest)
    if found is None:
        run_processes(params.processes, job.apart())
    return found or Checkpoint.load(store, job.origin.digest)


def plan_training(
    pairs: PairSet, network: NetworkParams, params: TrainingParams, parent: Checkpoint | Pretraining | None = None
) -> Origin:
    """The digest under which a training is published, known before it runs."""
    inputs: dict[str, Input] = {"pairs": pairs}
    if parent:
        inputs["parent"] = parent
    return CHECKPOINT.plan(inputs=inputs, params={"network": network, "training": params})


@dataclass(frozen=True)
class Job:
    """What is to be trained."""

    pairs: PairSet
    network: NetworkParams
    params: TrainingParams
    store: ObjectStore
    parent: Checkpoint | Pretraining | None

    @property
    def origin(self) -> Origin:
        """What the training is published under."""
        return plan_training(self.pairs, self.network, self.params, self.parent)

    def apart(self) -> Callable[[], Checkpoint]:
        """The same as work for another process, which opens storage for itself."""
        given = (self.pairs, self.network, self.params, type(self.store), self.store.settings, self.parent)
        return partial(_train_apart, *given)


def _train_apart(
    pairs: PairSet,
    network: NetworkParams,
    params: TrainingParams,
    kind: type[ObjectStore],
    settings: Settings,
    parent: Checkpoint | Pretraining | None,
) -> Checkpoint:
    return train(pairs, network, params, kind(settings), parent=parent)


def _train(job: Job) -> Checkpoint:
    """Trains in this process, and in those that have joined it."""
    if rank() == 0:
        found = from_first(Checkpoint.find(job.store, job.origin.digest))
        return found or from_first(_lead(job))
    told: Any = from_first(None)
    if told is None:
        _follow(job)
        told = from_first(None)
    checkpoint: Checkpoint = told
    return checkpoint


def _lead(job: Job) -> Checkpoint:
    origin, store = job.origin, job.store
    reader = _reader(job)
    with ProgressKeeper(store, Checkpoint.folder(store, origin.digest)) as keeper:
        trainer, progress, state = _trainer(job, keeper.load())
        tracker = Tracker(
            name=f"train {origin.digest}",
            params=run_params({"network": job.network, "training": job.params}),
            tags=run_tags(origin, job.pairs, progress.start, trainer.device.type),
            run_id=progress.run_id,
        )
        with tracker, stop_on_signal() as stop:
            progress = progress.model_copy(update={"run_id": tracker.run_id or progress.run_id})
            session = Session(reader, trainer, job.params, keeper, tracker, progress)
            if state is not None:
                session.restore(state)
            session.run(stop)
            checkpoint = _publish(session, origin, job.network, store)
            keeper.sweep()
    return checkpoint


def _reader(job: Job) -> PairReader:
    return PairReader(job.store, job.pairs, cache=job.store.settings.cache, memory_limit=TRAINING_MEMORY)


def _follow(job: Job) -> None:
    reader = _reader(job)
    trainer, progress, state = _trainer(job, None)
    if state is not None:
        trainer.restore(state, progress.step, progress.share)
    with stop_on_signal() as stop:
        follow(reader, trainer, job.params, stop)


def _trainer(
    job: Job, kept: tuple[Progress, dict[str, Tensor]] | None
) -> tuple[Trainer, Progress, Mapping[str, Tensor] | None]:
    """The trainer as the first process starts it, with what that one has kept so far."""
    kept = from_first(kept)
    if kept is None and rank() == 0:
        built, start = first_network(job.network, job.params.seed, job.store, job.parent)
    else:
        built, start = seeded_network(job.network, job.params.seed), ""
    progress, state = kept or (Progress(start=from_first(start)), None)
    device = best_device()
    share_weights(built.to(device))
    return Trainer(built, _effective(job.params, progress.start), device), progress, state


def _effective(params: TrainingParams, start: str) -> TrainingParams:
    """Random weights are never kept as they are."""
    return params.model_copy(update={"frozen_scales": 0}) if start == RANDOM else params


def _publish(session: Session, origin: Origin, network: NetworkParams, store: ObjectStore) -> Checkpoint:
    """Publishes the best weights; whoever was first wins."""
    best, progress, tracker = session.best_network(), session.progress, session.tracker
    counts, decision = fit_decision(best, session.reader, session.validation, session.decision)
    folder = Checkpoint.folder(store, origin.digest)
    tensors: dict[str, Tensor] = best.state_dict()
    weights, config = put_network(store, folder, tensors, network, decision, progress.start)
    table = write_curves(progress.rows)
    checkpoint = Checkpoint(
        origin=origin,
        weights=weights,
        network=config,
        curves=put_blob(store, folder, "curves.csv", table, "text/csv"),
        pairs=origin.sources["pairs"],
        epochs=len(progress.rows),
        best_epoch=progress.best_epoch,
        start=progress.start,
        minutes=progress.elapsed_s / 60,
        validation=counts.scores() if session.validation else None,
        run_id=progress.run_id,
    ).publish(store)
    if checkpoint.validation is not None:
        final = {f"final_{name}": value for name, value in checkpoint.validation.model_dump().items()}
        tracker.log(final, session.trainer.steps)
    tracker.keep("curves.csv", table)
    tracker.keep("checkpoint.json", checkpoint.model_dump_json(indent=1).encode())
    tracker.keep("network.json", config.read(store))
    return checkpoint
