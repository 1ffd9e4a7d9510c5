"""Runs contestants on folds, or takes up what is kept of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from contest.contestants import Contestant
from contest.judging import Classify, judge
from contest.ours import train_ours
from contest.references import train_reference
from contest.results import Learned, Result, Results, result_key
from contest.scenes import Collection, Fold, post_only
from siamese.evaluation.pairset import split_tasks
from siamese.manifests import PairSet
from siamese.pairs import PairReader, build_pairs
from siamese.params import Params
from siamese.progress import LOGGER
from siamese.store import ObjectStore
from siamese.store.revision import git_revision


@dataclass(frozen=True)
class Contest:
    """What all contestants share."""

    collection: Collection
    store: ObjectStore
    results: Results
    params: Callable[[Sequence[str]], Params]
    """Params of the contest with some overrides."""

    def run(self, contestant: Contestant, fold: Fold) -> Result:
        """The result of one contestant on one fold; made now unless it is kept."""
        params = self.params(contestant.overrides)
        key = result_key(contestant, fold, params, self.collection.fingerprint)
        kept = self.results.find(contestant, fold, key)
        if kept is not None:
            LOGGER.info(f"{contestant.name}, {fold.name}: kept from before")
            return kept
        LOGGER.info(f"{contestant.name}, {fold.name}: {params.training.minutes:g} minutes of training")
        pairs = build_pairs(self.collection.catalog, fold.params, self.store)
        if contestant.kind == "post-only":
            pairs = post_only(pairs, self.store)
        classify, learned = self._train(contestant, pairs, params)
        result = Result(
            contestant=contestant.name,
            fold=fold.name,
            key=key,
            revision=git_revision(),
            threads=torch.get_num_threads(),
            learned=learned,
            scenes=judge(split_tasks(pairs, "test", self.store), classify, params.evaluation.iou),
        )
        self.results.keep(result)
        return result

    def _train(self, contestant: Contestant, pairs: PairSet, params: Params) -> tuple[Classify, Learned]:
        match contestant.kind:
            case "ours" | "post-only":
                return train_ours(pairs, params, self.store)
            case "fcsiamdiff" | "unet" as kind:
                reader = PairReader(self.store, pairs, cache=self.store.settings.cache)
                return train_reference(kind, reader, params.network, params.training)
