"""What candidate and champion are scored on, and how the gate weighs them; one kind of contest a kind of network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic

from siamese.evaluation import evaluate, read_counts
from siamese.manifests import Checkpoint, PairSet
from siamese.params import EvaluationParams, PromotionParams
from siamese.progress import progress
from siamese.registry.fairness import seen_before
from siamese.registry.gate import Verdict, judge
from siamese.registry.ledger import Comparison
from siamese.registry.weights import T
from siamese.store import ObjectStore


class Contest(ABC, Generic[T]):
    """Scores candidate and champion on the same frozen split in the same run.

    Attributes:
        model: Name of the model whose versions compete.
    """

    model: str

    @abstractmethod
    def load(self, digest: str) -> T:
        """Reads the manifest of a network."""

    @abstractmethod
    def weigh(self, candidate: T, champion: T | None) -> tuple[Verdict, Comparison]:
        """Scores both, or the candidate alone where there is no champion, and decides; published scores are reused."""


class DamageContest(Contest[Checkpoint]):
    """Damage networks on a split of a pair set."""

    def __init__(
        self, pairs: PairSet, params: PromotionParams, evaluation_params: EvaluationParams, store: ObjectStore
    ) -> None:
        self.model = params.model
        self._pairs, self._params, self._evaluation_params, self._store = pairs, params, evaluation_params, store

    def load(self, digest: str) -> Checkpoint:
        """Reads a checkpoint."""
        return Checkpoint.load(self._store, digest)

    def weigh(self, candidate: Checkpoint, champion: Checkpoint | None) -> tuple[Verdict, Comparison]:
        """Scores both; the reasons also state when either was trained on scenes that it is scored on."""
        pairs, params, store = self._pairs, self._params, self._store
        with progress("score candidate and champion", 2 if champion else 1) as advance:
            ours = evaluate(candidate, pairs, self._evaluation_params, store)
            advance(note="candidate")
            seen = seen_before("candidate", candidate, pairs, ours.split, store)
            theirs = evaluate(champion, pairs, self._evaluation_params, store) if champion else None
            if champion:
                seen += seen_before("champion", champion, pairs, ours.split, store)
                advance(note="champion")
        absent = [name for name, tally in read_counts(ours, store).damage.items() if not tally.support]
        verdict = judge(ours.scores, theirs.scores if theirs else None, params, absent=absent)
        comparison = Comparison(
            pairs=pairs.digest,
            split=ours.split,
            candidate=ours.scores,
            candidate_evaluation=ours.digest,
            champion=theirs.scores if theirs else None,
            champion_evaluation=theirs.digest if theirs else None,
            thresholds=params.model_dump(mode="json", exclude={"model"}),
        )
        return Verdict(verdict.promoted, verdict.reasons + seen), comparison
