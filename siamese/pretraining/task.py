"""Self-supervised training as a task of the learning engine."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from siamese.errors import SiameseError
from siamese.learning.recipe import Recipe
from siamese.learning.states import Progress
from siamese.learning.task import Beat, Published, Task
from siamese.manifests import PairSet, Pretraining
from siamese.model.encoders import Encoder
from siamese.model.imagenet import RANDOM, load_imagenet
from siamese.model.weights import serialize
from siamese.pairs import PairReader
from siamese.params import NetworkParams, PretrainingParams
from siamese.params.section import Section
from siamese.pretraining.collapse import warning
from siamese.pretraining.method import Comparison, Method
from siamese.pretraining.methods import build_method
from siamese.pretraining.objective import ViewsObjective
from siamese.pretraining.stage import PRETRAINING
from siamese.pretraining.views import Views, ViewSource
from siamese.progress import LOGGER
from siamese.store import ObjectStore, Origin, put_blob


class SelfSupervisedTask(Task[Method, Views, Comparison, Pretraining]):
    """Trains an encoder on the images of a pair set."""

    verb, examples, shown, kind = "pretrain", "places", ("spread",), Pretraining

    def __init__(self, pairs: PairSet, network: NetworkParams, params: PretrainingParams, store: ObjectStore) -> None:
        self.recipe, self.store = Recipe.of("pretraining", params), store
        self._pairs, self._network, self._params = pairs, network, params

    @property
    def origin(self) -> Origin:
        """The digest of pair set and params."""
        return plan_pretraining(self._pairs, self._network, self._params)

    @property
    def sections(self) -> Mapping[str, Section]:
        """Returns the encoder's part of network, and pretraining."""
        return {"network": _used(self._network), "pretraining": self._params}

    @property
    def lineage(self) -> Mapping[str, str]:
        """Returns the digests of the pair set and of everything it was made from."""
        return {"pairs": self._pairs.digest, **self._pairs.origin.sources}

    def check_processes(self, count: int) -> None:
        """Rejects more than one process, because a method compares the views of a single process."""
        if count > 1:
            raise SiameseError(f"{count} processes cannot share a pre-training run", where="pretraining", fix="run one")

    def build(self, *, fresh: bool) -> tuple[Method, str]:
        """Builds the method around the encoder with its initial weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._params.seed)
            encoder = Encoder(self._network.encoder, self._network.bands)
            # A teacher is a copy of the encoder, so the encoder must have its initial weights before that.
            start = load_imagenet(encoder) if fresh and self._network.pretrained else RANDOM
            return build_method(encoder, self._params), start

    def objective(self, start: str) -> ViewsObjective:
        """Returns the method's objective."""
        del start
        return ViewsObjective(self._params)

    def source(self, network: Method, rank: int, world: int) -> ViewSource:
        """Returns views of the train split and of unlabelled scenes."""
        del network, rank, world
        return ViewSource(
            PairReader(self.store, self._pairs, cache=self.store.settings.cache), self._params, self._network.bands
        )

    def publish(self, network: Method, progress: Progress, curves: bytes, beat: Beat) -> Published[Pretraining]:
        """Publishes the encoder, with a warning if it collapsed."""
        del beat
        origin, store, encoder, last = self.origin, self.store, network.outcome, progress.rows[-1]
        folder = Pretraining.folder(store, origin.digest)
        made = Pretraining(
            origin=origin,
            weights=put_blob(store, folder, "encoder.safetensors", serialize(encoder.state_dict())),
            encoder=encoder.name,
            method=self._params.method,
            bands=encoder.mean.shape[1],
            pairs=origin.sources["pairs"],
            curves=put_blob(store, folder, "curves.csv", curves, "text/csv"),
            steps=progress.step,
            epochs=len(progress.rows),
            spread=last["spread"],
            rank=last["rank"],
            warning=warning(last["spread"], last["rank"], self._params.batch),
            start=progress.start,
            minutes=progress.elapsed_s / 60,
            run_id=progress.run_id,
        ).publish(store)
        if made.warning is not None:
            LOGGER.warning(f"pre-training {made.digest}: {made.warning}")
        return Published(made, files={"pretraining.json": made.model_dump_json(indent=1).encode()})


def plan_pretraining(pairs: PairSet, network: NetworkParams, params: PretrainingParams) -> Origin:
    """Returns the digest under which a pre-training run is published, known before it runs."""
    sections = {"network": _used(network), "pretraining": params}
    return PRETRAINING.plan(inputs={"pairs": pairs}, params=sections)


def _used(network: NetworkParams) -> NetworkParams:
    """Keeps only the params that determine the resulting encoder; resets the rest to defaults."""
    return NetworkParams(encoder=network.encoder, bands=network.bands, pretrained=network.pretrained)
