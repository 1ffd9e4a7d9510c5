"""A training's second and further processes: they learn in step with the first one, and leave all else to it."""

from __future__ import annotations

from siamese.pairs import PairReader
from siamese.params import TrainingParams
from siamese.training.crops import CropSource
from siamese.training.loader import Loader
from siamese.training.reduce import from_first, rank, world
from siamese.training.stopping import StopRequest, asked_by, stopped
from siamese.training.trainer import Trainer


def follow(reader: PairReader, trainer: Trainer, params: TrainingParams, stop: StopRequest) -> None:
    """Takes the steps that :class:`siamese.training.session.Session` takes in the first process.

    Raises:
        SiameseError: The loss is not a number, or one of the processes was asked to stop.
    """
    bands = trainer.network.params.input_bands
    source = CropSource(reader, params, bands=bands, rank=rank(), world=world())
    with Loader(source, params.loader_threads) as loader:
        for _, batch in loader.batches(trainer.steps, params.epochs * source.steps_an_epoch):
            share = from_first(0.0)
            if share >= 1:
                return
            trainer.step(batch, share)
            signal = asked_by(stop)
            if signal is not None:
                from_first(None)  # until the state is kept
                raise stopped(signal, trainer.steps)
