"""Similarity training as a task of the learning engine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siamese.errors import SiameseError
from siamese.learning.recipe import Recipe
from siamese.learning.states import Progress
from siamese.learning.task import Beat, Judgement, Published, Task
from siamese.manifests import ItemSet, SimilarityModel, Threshold
from siamese.model.weights import serialize
from siamese.params import ItemsParams, SimilarityParams
from siamese.params.section import Section
from siamese.params.similarity import CLASSIFYING
from siamese.progress import LOGGER
from siamese.similarity.batches import Batch, BatchSource
from siamese.similarity.data.items import Items
from siamese.similarity.data.reader import need_items, read_items
from siamese.similarity.embedder import Embedder, EmbedderConfig, embed_items
from siamese.similarity.encoders import build_embedder, fit_statistics, load_start
from siamese.similarity.fewshot import episodes_accuracy, recall_at
from siamese.similarity.losses import Criterion
from siamese.similarity.objective import SimilarityNetwork, SimilarityObjective
from siamese.similarity.stage import SIMILARITY_MODEL
from siamese.similarity.verification import Rates, choose_threshold, error_rates, verification_pairs
from siamese.store import ObjectStore, Origin, put_blob
from siamese.store.stage import Input

_PAIRS = 20_000
_ITEMS = 2_000
_EPISODES = 100


class SimilarityTask(Task[SimilarityNetwork, Batch, tuple[Tensor, Tensor], SimilarityModel]):
    """Trains a network on the items of a set's train split."""

    verb, examples, shown, kind = "similarity", "items", ("auc", "one_shot"), SimilarityModel

    def __init__(self, items: ItemSet, params: SimilarityParams, store: ObjectStore) -> None:
        self.recipe, self.store = Recipe.of("similarity", params), store
        self._item_set, self._params = items, params

    @property
    def origin(self) -> Origin:
        """The digest of item set and params."""
        return plan_similarity(self._item_set, self._params)

    @property
    def sections(self) -> Mapping[str, Section]:
        """Returns similarity."""
        return {"similarity": self._params}

    @property
    def lineage(self) -> Mapping[str, str]:
        """Returns the digest of the item set."""
        return {"items": self._item_set.digest}

    def check_processes(self, count: int) -> None:
        """Rejects more than one process, because a loss compares the items of a single process."""
        if count > 1:
            raise SiameseError(f"{count} processes cannot share a similarity run", where="similarity", fix="run one")

    @cached_property
    def _train(self) -> Items:
        found = need_items(self._item_set, "train", self.store)
        listed = found.pairs is not None
        if listed and self._params.loss not in ("contrastive", "bce"):
            fix = "set similarity.loss=contrastive, or bce with similarity.distance=learned; or give classes"
            raise SiameseError("learns from classes, not from listed pairs", where=f"loss {self._params.loss}", fix=fix)
        if self._params.loss in CLASSIFYING and self._params.composed_share:
            fix = "set similarity.composed_share=0"
            raise SiameseError("has a fixed list of classes", where=f"loss {self._params.loss}", fix=fix)
        if self._params.relation == "pseudo" and not {0, 1} <= set(found.branch.tolist()):
            fix = "name the two subfolders of each class as items.branches"
            raise SiameseError("needs two kinds of input", where="similarity.relation=pseudo", fix=fix)
        return found

    @cached_property
    def _val(self) -> Items | None:
        return read_items(self._item_set, "val", self.store)

    @cached_property
    def _source(self) -> BatchSource:
        return BatchSource(self._train, self._params)

    def build(self, *, fresh: bool) -> tuple[SimilarityNetwork, str]:
        """Builds the network with its initial weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._params.seed)
            embedder = build_embedder(self._item_set.item_kind, self._item_set.shape, self._params)
            start = load_start(embedder, self._params) if fresh else ""
            fit_statistics(embedder, self._train.values, self._train.branch)
            return SimilarityNetwork(embedder, Criterion(self._params, self._source.classes)), start

    def objective(self, start: str) -> SimilarityObjective:
        """Returns the objective."""
        del start
        return SimilarityObjective(self._params)

    def source(self, network: SimilarityNetwork, rank: int, world: int) -> BatchSource:
        """Returns batches of the train split."""
        del network, rank, world
        return self._source

    def judge(self, network: SimilarityNetwork, beat: Beat) -> Judgement | None:
        """Measures verification and one-shot accuracy on the validation split."""
        beat()
        measured = self._measured(network)
        return Judgement(measured[0].auc, measured[1]) if measured else None

    def publish(
        self, network: SimilarityNetwork, progress: Progress, curves: bytes, beat: Beat
    ) -> Published[SimilarityModel]:
        """Publishes the network with the threshold that validation gives."""
        beat()
        origin, store, params = self.origin, self.store, self._params
        measured = self._measured(network)
        threshold: Threshold | None = None
        if measured:
            rates, _, pairs = measured
            try:
                threshold = choose_threshold(rates, params.threshold, params.false_accepts, pairs)
            except SiameseError as error:
                # The vectors may still serve for search; whoever verifies with this model gives a threshold.
                LOGGER.warning(f"similarity model {origin.digest} has no threshold: {error}")
        else:
            LOGGER.warning(
                f"similarity model {origin.digest} has no threshold and no figures: the validation split lacks pairs "
                "of the same or of other items; raise items.val_share, or list more pairs of fewer items"
            )
        weights = serialize(network.embedder.state_dict())
        config = EmbedderConfig(
            item_kind=self._item_set.item_kind,
            shape=self._item_set.shape,
            items=ItemsParams.model_validate(self._item_set.origin.params.get("items", {})),
            similarity=params,
            start=progress.start,
            weights_sha256=hashlib.sha256(weights).hexdigest(),
        )
        folder = SimilarityModel.folder(store, origin.digest)
        text = config.model_dump_json(indent=1).encode()
        made = SimilarityModel(
            origin=origin,
            weights=put_blob(store, folder, "weights.safetensors", weights),
            network=put_blob(store, folder, "network.json", text, "application/json"),
            curves=put_blob(store, folder, "curves.csv", curves, "text/csv"),
            items=origin.sources["items"],
            threshold=threshold,
            epochs=len(progress.rows),
            best_epoch=progress.best_epoch,
            start=progress.start,
            minutes=progress.elapsed_s / 60,
            figures=measured[1] if measured else {},
            run_id=progress.run_id,
        ).publish(store)
        return Published(made, made.figures, {"similarity-model.json": made.model_dump_json(indent=1).encode()})

    def _measured(self, network: SimilarityNetwork) -> tuple[Rates, dict[str, float], int] | None:
        """Returns rates, figures, and the number of pairs, on the validation split; None where it is empty."""
        items = self._val
        across = self._params.relation == "pseudo"
        listed = verification_pairs(items, _PAIRS, self._params.seed, across=across) if items is not None else None
        if items is None or listed is None:
            return None
        network.eval()
        embedder = Embedder(_plain_config(self._item_set, self._params), network.embedder, None, "in training")
        vectors = embed_items(embedder, items)
        rates = error_rates(embedder.apart(vectors[listed.first], vectors[listed.second]), listed.same)
        figures = {"auc": rates.auc, "eer": rates.eer}
        if items.pairs is None:
            some = items if len(items) <= _ITEMS else items.take(_sample(len(items), _ITEMS))
            chosen = vectors if some is items else vectors[_sample(len(items), _ITEMS)]
            between = embedder.between(chosen, chosen)
            figures["recall_at_1"] = recall_at(between, some.labels, (1,))[1]
            accuracy = episodes_accuracy(between, some, ways=20, shots=1, episodes=_EPISODES, seed=self._params.seed)
            figures |= {"one_shot": accuracy} if accuracy is not None else {}
        return rates, figures, len(listed.same)


def plan_similarity(items: ItemSet, params: SimilarityParams) -> Origin:
    """Returns the digest under which a run is published, known before it runs."""
    inputs: dict[str, Input] = {"items": items}
    if params.relation == "pseudo":
        inputs["verified"] = "across both kinds of input"  # models of before were judged on pairs of any kinds
    return SIMILARITY_MODEL.plan(inputs=inputs, params={"similarity": params})


def _plain_config(items: ItemSet, params: SimilarityParams) -> EmbedderConfig:
    return EmbedderConfig(
        item_kind=items.item_kind,
        shape=items.shape,
        items=ItemsParams.model_validate(items.origin.params.get("items", {})),
        similarity=params,
        start="",
        weights_sha256="0" * 64,
    )


def _sample(count: int, wanted: int) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(0).permutation(count)[:wanted])
