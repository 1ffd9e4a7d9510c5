"""Runs contestants on folds, or reuses stored results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import active_children, get_context

import torch

from contest.contestants import Contestant
from contest.judging import Network, judge
from contest.ours import train_ours
from contest.references import train_reference
from contest.results import Learned, Result, Results, result_key
from contest.scenes import Collection, Fold, post_only
from siamese.evaluation.pairset import split_tasks
from siamese.manifests import PairSet
from siamese.pairs import TRAINING_MEMORY, PairReader, build_pairs
from siamese.params import Params
from siamese.progress import LOGGER, log_to_stderr
from siamese.store import ObjectStore
from siamese.store.provenance import git_revision


def run_side_by_side(contest: Contest, runs: Sequence[tuple[Contestant, Fold]], jobs: int) -> None:
    """Computes the results not stored yet, several at a time, each in a process with its share of the threads.

    Raises:
        SiameseError: One of them failed; those already finished are stored.
    """
    threads = max(1, torch.get_num_threads() // jobs)
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_begin, initargs=(threads,)) as pool:
        given = (contest.collection, contest.results, contest.params)
        made = [pool.submit(_make, *given, *run) for run in runs if contest.kept(*run) is None]
        try:
            for future in as_completed(made):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()  # A training run stores its state.
            raise


def _begin(threads: int) -> None:
    torch.set_num_threads(threads)
    log_to_stderr()


def _make(
    collection: Collection,
    results: Results,
    params: Callable[[Sequence[str]], Params],
    contestant: Contestant,
    fold: Fold,
) -> None:
    Contest(collection, ObjectStore(), results, params).run(contestant, fold)


@dataclass(frozen=True)
class Contest:
    """What all contestants share."""

    collection: Collection
    store: ObjectStore
    results: Results
    params: Callable[[Sequence[str]], Params]
    """Returns the params of the contest with some overrides."""

    def kept(self, contestant: Contestant, fold: Fold) -> Result | None:
        """Returns the stored result of one contestant on one fold, if any."""
        return self.results.find(contestant, fold, self._key(contestant, fold))

    def _key(self, contestant: Contestant, fold: Fold) -> str:
        return result_key(contestant, fold, self.params(contestant.overrides), self.collection.fingerprint)

    def run(self, contestant: Contestant, fold: Fold) -> Result:
        """Returns the result of one contestant on one fold; computed now unless stored."""
        params, kept = self.params(contestant.overrides), self.kept(contestant, fold)
        if kept is not None:
            LOGGER.info(f"{contestant.name}, {fold.name}: kept from before")
            return kept
        LOGGER.info(f"{contestant.name}, {fold.name}: {params.training.minutes:g} minutes of training")
        pairs = build_pairs(self.collection.catalog, fold.params, self.store)
        if contestant.kind == "post-only":
            pairs = post_only(pairs, self.store)
        network, learned = self._train(contestant, pairs, params)
        result = Result(
            contestant=contestant.name,
            fold=fold.name,
            key=self._key(contestant, fold),
            revision=git_revision(),
            threads=torch.get_num_threads(),
            learned=learned,
            scenes=judge(split_tasks(pairs, "test", self.store), network, params.evaluation.iou),
        )
        self.results.keep(result)
        return result

    def _train(self, contestant: Contestant, pairs: PairSet, params: Params) -> tuple[Network, Learned]:
        match contestant.kind:
            case "ours" | "post-only":
                return train_ours(pairs, params, self.store)
            case "fcsiamdiff" | "unet" as kind:
                cache = self.store.settings.cache
                reader = PairReader(self.store, pairs, cache=cache, memory_limit=TRAINING_MEMORY)
                return train_reference(kind, reader, params.network, params.training)
