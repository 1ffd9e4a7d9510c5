"""The verb ``pretrain``: the images of a pair set to an encoder, resumable after any interruption."""

from __future__ import annotations

import torch
from pydantic import Field

from siamese.manifests import PairSet, Pretraining
from siamese.model.encoders import Encoder
from siamese.model.imagenet import RANDOM, load_imagenet
from siamese.model.precision import best_device
from siamese.model.weights import serialize
from siamese.pairs import PairReader
from siamese.params import NetworkParams, PretrainingParams
from siamese.params.section import Section
from siamese.pretraining.collapse import warning
from siamese.pretraining.curves import write_curves
from siamese.pretraining.method import Method
from siamese.pretraining.methods import build_method
from siamese.pretraining.session import PretrainingProgress, Session
from siamese.pretraining.stage import PRETRAINING
from siamese.pretraining.trainer import Trainer
from siamese.pretraining.views import ViewSource
from siamese.progress import LOGGER
from siamese.store import ObjectStore, Origin, put_blob
from siamese.training.resume import StateKeeper
from siamese.training.stopping import stop_on_signal
from siamese.training.tracking import Tracker, run_params, run_tags


def pretrain(pairs: PairSet, network: NetworkParams, params: PretrainingParams, store: ObjectStore) -> Pretraining:
    """Pre-trains an encoder; if that is done already, says so at once; if it was cut off, goes on from its last state.

    It learns from the images of the train split, and of the unlabelled scenes of a pair set that was made with
    ``pairs.unlabelled``; never from labels, nor from what validation and test show.

    Args:
        pairs: What ``pairs`` published.
        network: Names the encoder, its bands (of the pre image), and whether it starts from ImageNet weights; all else
            of it is not used. Where the dates have other bands it learns from those that fit; for the encoder of the
            post image give that one's name and bands here.
        params: The method, and how it learns. With ``minutes``, how much is learned depends on the machine's speed;
            without, the same seed gives the same weights on the same machine, however often it was cut off.
        store: Where to.

    Returns:
        The published encoder. One that collapsed is published too, with a warning in the manifest and the log.

    Raises:
        SiameseError: There is nothing to learn from, the encoder is unknown or does not fit the views, the loss is not
            a number, or it was asked to stop (its state is kept).
    """
    origin = plan_pretraining(pairs, network, params)
    found = Pretraining.find(store, origin.digest)
    if found is not None:
        return found
    source = ViewSource(PairReader(store, pairs, cache=store.settings.cache), params, network.bands)
    folder = Pretraining.folder(store, origin.digest)
    with StateKeeper(store, folder, PretrainingProgress) as keeper:
        kept = keeper.load()
        method, start = _method(network, params, fresh=kept is None)
        progress, state = kept or (PretrainingProgress(start=start), None)
        trainer = Trainer(method, params, best_device())
        tracker = Tracker(
            name=f"pretrain {origin.digest}",
            params=run_params({"network": _used(network), "pretraining": params}),
            tags=run_tags(origin, pairs, progress.start, trainer.device.type),
            run_id=progress.run_id,
        )
        with tracker, stop_on_signal() as stop:
            progress = progress.model_copy(update={"run_id": tracker.run_id or progress.run_id})
            session = Session(source, trainer, keeper, tracker, progress)
            if state is not None:
                session.restore(state)
            session.run(stop)
            made = _publish(session, origin, params, store)
            keeper.sweep()
    return made


def plan_pretraining(pairs: PairSet, network: NetworkParams, params: PretrainingParams) -> Origin:
    """The digest under which a pre-training is published, known before it runs."""
    sections = {"network": _used(network), "pretraining": params}
    return PRETRAINING.plan(inputs={"pairs": pairs}, params=sections)


class _EncoderParams(Section):
    """What of the section ``network`` decides which encoder comes out."""

    encoder: str = Field(description="Encoder, by timm name.")
    bands: int = Field(description="Bands that it takes.")
    pretrained: bool = Field(description="Start from ImageNet weights.")


def _used(network: NetworkParams) -> _EncoderParams:
    return _EncoderParams(encoder=network.encoder, bands=network.bands, pretrained=network.pretrained)


def _method(network: NetworkParams, params: PretrainingParams, *, fresh: bool) -> tuple[Method, str]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(params.seed)
        encoder = Encoder(network.encoder, network.bands)
        # A teacher is a copy of the encoder, so the encoder must have its first weights before.
        start = load_imagenet(encoder) if fresh and network.pretrained else RANDOM
        return build_method(encoder, params), start


def _publish(session: Session, origin: Origin, params: PretrainingParams, store: ObjectStore) -> Pretraining:
    """Publishes the encoder; whoever was first wins."""
    progress, tracker, encoder = session.progress, session.tracker, session.trainer.method.outcome
    folder, table = Pretraining.folder(store, origin.digest), write_curves(progress.rows)
    last = progress.rows[-1]
    made = Pretraining(
        origin=origin,
        weights=put_blob(store, folder, "encoder.safetensors", serialize(encoder.state_dict())),
        encoder=encoder.name,
        method=params.method,
        bands=encoder.mean.shape[1],
        pairs=origin.sources["pairs"],
        curves=put_blob(store, folder, "curves.csv", table, "text/csv"),
        steps=progress.step,
        epochs=len(progress.rows),
        spread=last.spread,
        rank=last.rank,
        warning=warning(last.spread, last.rank, params.batch),
        start=progress.start,
        minutes=progress.elapsed_s / 60,
        run_id=progress.run_id,
    ).publish(store)
    if made.warning is not None:
        LOGGER.warning(f"pre-training {made.digest}: {made.warning}")
    tracker.keep("curves.csv", table)
    tracker.keep("pretraining.json", made.model_dump_json(indent=1).encode())
    return made
