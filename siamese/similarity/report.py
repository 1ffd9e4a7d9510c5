"""Everything that is measured of a similarity model on one split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from siamese.errors import SiameseError
from siamese.manifests import SimilarityScores
from siamese.params import SimilarityEvaluationParams
from siamese.similarity.data.items import Items, ListedPairs
from siamese.similarity.distances import Vectors
from siamese.similarity.embedder import Embedder, embed_items
from siamese.similarity.fewshot import episodes_accuracy, recall_at
from siamese.similarity.verification import Rates, choose_threshold, error_rates, verification_pairs

_ITEMS = 4_000
"""At most so many items are compared all with all."""
_FOLDS = 5
_NEIGHBOURS = 5


class PairShown(BaseModel):
    """A pair on which the model is most wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: str
    second: str
    same: bool
    distance: float


class SimilarityReport(BaseModel):
    """Every figure; shares are in 0..1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: str
    items: int
    classes: int
    same_pairs: int
    other_pairs: int
    threshold: float = Field(description="The model's; where it has none, that of equal error on this split.")
    threshold_of: str = Field(description="validation, or this split.")
    scores: SimilarityScores
    false_accepts_at: dict[str, float] = Field(description="False rejects at false-accept rates of 10, 1 and 0.1 %.")
    recall_at: dict[int, float]
    few_shot: dict[int, float] = Field(description="Accuracy of episodes, by number of examples a class.")
    ways: int = Field(description="Classes in an episode, at most.")
    knn: float | None = Field(description="Accuracy of 5 nearest neighbours, items of a class held out in turn.")
    linear_probe: float | None = Field(description="Accuracy of a linear classifier on the vectors, likewise.")
    worst: tuple[PairShown, ...] = Field(description="The same but farthest, and others but nearest.")


@dataclass(frozen=True)
class Measured:
    """A report and what its plots are drawn from."""

    report: SimilarityReport
    rates: Rates
    distances: NDArray[np.float32]
    listed: ListedPairs


def measure(embedder: Embedder, items: Items, split: str, params: SimilarityEvaluationParams) -> Measured:
    """Measures a model on the items of one split.

    Raises:
        SiameseError: The split holds no pair of the same or none of other items.
    """
    across = len(embedder.network.branches) > 1
    listed = verification_pairs(items, params.pairs, params.seed, across=across)
    if listed is None:
        fix = "choose another split, or give more classes of two items each"
        raise SiameseError("holds no same or no other pair to verify", where=f"split {split}", fix=fix)
    vectors = embed_items(embedder, items, params.warps)
    distances = embedder.apart(vectors[listed.first], vectors[listed.second])
    rates = error_rates(distances, listed.same)
    known = embedder.threshold
    threshold = known or choose_threshold(rates, "eer", 0.01, len(distances))
    accepted = distances <= threshold.distance
    classed = items.pairs is None
    few = _few_shot(embedder, vectors, items, params) if classed else ({}, {}, None, None)
    recall, shots, knn, probe = few
    scores = SimilarityScores(
        score=rates.auc,
        auc=rates.auc,
        eer=rates.eer,
        false_accepts=float(accepted[~listed.same].mean()),
        false_rejects=float((~accepted[listed.same]).mean()),
        recall_at_1=recall.get(1, 0.0),
        one_shot=shots.get(1),
    )
    report = SimilarityReport(
        split=split,
        items=len(items),
        classes=len(items.names),
        same_pairs=int(listed.same.sum()),
        other_pairs=int((~listed.same).sum()),
        threshold=threshold.distance,
        threshold_of="validation" if known else "this split",
        scores=scores,
        false_accepts_at={f"{rate:g}": _rejects_at(rates, rate) for rate in (0.1, 0.01, 0.001)},
        recall_at=recall,
        few_shot=shots,
        ways=params.ways,
        knn=knn,
        linear_probe=probe,
        worst=_worst(items, listed, distances, params.gallery),
    )
    return Measured(report, rates, distances, listed)


def _few_shot(
    embedder: Embedder, vectors: Vectors, items: Items, params: SimilarityEvaluationParams
) -> tuple[dict[int, float], dict[int, float], float | None, float | None]:
    some = np.flatnonzero(~items.forged)
    some = np.sort(np.random.default_rng(params.seed).permutation(some)[:_ITEMS])
    chosen, own = items.take(some), vectors[some]
    between = embedder.between(own, own)
    recall = recall_at(between, chosen.labels, sorted({1, *params.recall_at}))
    shots: dict[int, float] = {}
    for count in sorted({1, *params.shots}):
        found = episodes_accuracy(
            between, chosen, ways=params.ways, shots=count, episodes=params.episodes, seed=params.seed
        )
        shots |= {count: found} if found is not None else {}
    return recall, shots, *_probes(own, chosen.labels, params.seed)


def _probes(vectors: Vectors, labels: NDArray[np.int64], seed: int) -> tuple[float | None, float | None]:
    """Returns the accuracy of nearest neighbours and of a linear classifier, cross-validated."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    _, counts = np.unique(labels, return_counts=True)
    folds = min(_FOLDS, int(counts.min()))
    if folds < 2 or len(counts) < 2:
        return None, None
    cut = StratifiedKFold(folds, shuffle=True, random_state=seed)
    training = len(labels) - len(labels) // folds - 1
    knn = KNeighborsClassifier(min(_NEIGHBOURS, training))
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    scores = [float(cross_val_score(one, vectors, labels, cv=cut).mean()) for one in (knn, probe)]
    return scores[0], scores[1]


def _rejects_at(rates: Rates, accepts: float) -> float:
    return float(rates.false_rejects[np.flatnonzero(rates.false_accepts <= accepts)[-1]])


def _worst(items: Items, listed: ListedPairs, distances: NDArray[np.float32], count: int) -> tuple[PairShown, ...]:
    order = np.argsort(distances, kind="stable")
    far = [place for place in order[::-1] if listed.same[place]][:count]
    near = [place for place in order if not listed.same[place]][:count]
    return tuple(
        PairShown(
            first=items.ids[listed.first[place]],
            second=items.ids[listed.second[place]],
            same=bool(listed.same[place]),
            distance=float(distances[place]),
        )
        for place in (*far, *near)
    )
