"""Registers, gates and rolls back similarity models, under a name of their own, by the rules of all models."""

from __future__ import annotations

from collections.abc import Iterator

from siamese.errors import SiameseError
from siamese.manifests import ItemSet, ModelVersion, SimilarityEvaluation, SimilarityModel, SimilarityScores, Split
from siamese.params import SimilarityEvaluationParams, SimilarityPromotionParams
from siamese.registry.contest import Contest
from siamese.registry.gate import ROUNDING, Verdict
from siamese.registry.ledger import Comparison, read_ledger
from siamese.registry.promotion import Ruling, decide, go_back
from siamese.registry.resolution import remote_version, uri_parts
from siamese.registry.weights import verify_weights
from siamese.similarity.data import read_items
from siamese.similarity.evaluate import evaluate_similarity
from siamese.store import ObjectStore


class SimilarityContest(Contest[SimilarityModel]):
    """Similarity models on a split of an item set."""

    def __init__(
        self,
        items: ItemSet,
        params: SimilarityPromotionParams,
        evaluation_params: SimilarityEvaluationParams,
        store: ObjectStore,
    ) -> None:
        self.model = params.model
        self._items, self._params, self._evaluation_params, self._store = items, params, evaluation_params, store

    def load(self, digest: str) -> SimilarityModel:
        """Reads a similarity model."""
        return SimilarityModel.load(self._store, digest)

    def weigh(self, candidate: SimilarityModel, champion: SimilarityModel | None) -> tuple[Verdict, Comparison]:
        """Measures both; the reasons also state when either learned from classes that it is measured on."""
        items, store = self._items, self._store
        ours = evaluate_similarity(candidate, items, self._evaluation_params, store)
        theirs = evaluate_similarity(champion, items, self._evaluation_params, store) if champion else None
        verdict = judge_similarity(ours.scores, theirs.scores if theirs else None, self._params)
        seen = [*self._seen("candidate", candidate), *(self._seen("champion", champion) if champion else ())]
        comparison = Comparison(
            pairs=items.digest,
            split=ours.split,
            candidate=ours.scores,
            candidate_evaluation=ours.digest,
            champion=theirs.scores if theirs else None,
            champion_evaluation=theirs.digest if theirs else None,
            thresholds=self._params.model_dump(mode="json", exclude={"model"}),
        )
        return Verdict(verdict.promoted, (*verdict.reasons, *seen)), comparison

    def _seen(self, who: str, model: SimilarityModel) -> Iterator[str]:
        if model.items == self._items.digest:
            return
        own = ItemSet.find(self._store, model.items)
        split = self._evaluation_params.split
        if own is None:
            yield f"the {who}'s item set is gone, so nobody can tell whether it learned from {split} classes"
            return
        splits: tuple[Split, ...] = ("train", "val")
        learned = [read_items(own, held, self._store) for held in splits]
        names = {name for part in learned if part is not None for name in part.names}
        asked = read_items(self._items, split, self._store)
        both = names & set(asked.names if asked else ())
        if both:
            yield f"{len(both)} {split} classes have the names of classes that the {who} learned from"


def judge_similarity(
    candidate: SimilarityScores, champion: SimilarityScores | None, params: SimilarityPromotionParams
) -> Verdict:
    """Decides between a candidate and the champion, both measured on the same split.

    Returns:
        The verdict; its reasons name every figure that was compared, including those that passed.
    """
    checks = list(_checks(candidate, champion, params))
    return Verdict(all(passed for passed, _ in checks), tuple(reason for _, reason in checks))


def _checks(
    candidate: SimilarityScores, champion: SimilarityScores | None, params: SimilarityPromotionParams
) -> Iterator[tuple[bool, str]]:
    if champion is None:
        yield True, f"area under the curve {candidate.auc:.4f}: there is no champion yet, the floors decide"
    else:
        gain = candidate.score - champion.score
        passed = gain >= params.minimum_gain - ROUNDING
        figures = (
            f"area under the curve {candidate.auc:.4f} against the champion's {champion.auc:.4f}: gain {gain:+.4f}"
        )
        yield passed, f"{figures}, {'at least' if passed else 'not'} the {params.minimum_gain:+.4f} asked for"
    passed = candidate.auc >= params.minimum_auc - ROUNDING
    floor = f"its floor {params.minimum_auc:.4f}"
    yield passed, f"area under the curve {candidate.auc:.4f}, {'at least' if passed else 'below'} {floor}"
    if params.maximum_eer < 1:
        passed = candidate.eer <= params.maximum_eer + ROUNDING
        told = f"{'at most' if passed else 'above'} its ceiling {params.maximum_eer:.4f}"
        yield passed, f"equal error rate {candidate.eer:.4f}, {told}"
    if params.minimum_one_shot > 0 and candidate.one_shot is not None:
        passed = candidate.one_shot >= params.minimum_one_shot - ROUNDING
        told = f"{'at least' if passed else 'below'} its floor {params.minimum_one_shot:.4f}"
        yield passed, f"one-shot accuracy {candidate.one_shot:.4f}, {told}"


def register_similarity(
    model: SimilarityModel, evaluation: SimilarityEvaluation, params: SimilarityPromotionParams, store: ObjectStore
) -> ModelVersion:
    """Registers a similarity model in MLflow; always the same version for the same model.

    Raises:
        SiameseError: The evaluation is of another model, or the weights differ from those published.
        TransientError: MLflow does not answer.
    """
    if evaluation.model != model.digest and model.content != evaluation.origin.inputs.get("model"):
        what = f"is of another model, {evaluation.model}"
        raise SiameseError(what, where=f"evaluation {evaluation.digest}", fix=f"evaluate {model.digest} first")
    scores = evaluation.scores.model_dump(exclude_none=True)
    tags = {"siamese.items": model.items, "siamese.split": evaluation.split}
    tags |= {name: f"{value:.6f}" for name, value in scores.items()}
    from siamese.registry.registration import register_version  # loads MLflow, which resolving a champion does without

    return register_version(model, evaluation, params.model, tags, store)


def promote_similarity(
    candidate: ModelVersion,
    items: ItemSet,
    params: SimilarityPromotionParams,
    evaluation_params: SimilarityEvaluationParams,
    store: ObjectStore,
) -> Ruling:
    """Passes a registered similarity model through the gate against the champion of its name.

    Raises:
        SiameseError: Weights do not match their registered sha256, or the candidate belongs to another model.
        TransientError: MLflow does not answer.
    """
    return decide(candidate, SimilarityContest(items, params, evaluation_params, store), store)


def rollback_similarity(to: int | None, params: SimilarityPromotionParams, store: ObjectStore) -> Ruling:
    """Reinstates a former champion and bans what it takes down.

    Raises:
        SiameseError: There is no version to go back to, or its weights do not match.
        TransientError: MLflow does not answer.
    """
    return go_back(to, params.model, lambda digest: SimilarityModel.load(store, digest), store)


def resolve_similarity(uri: str, store: ObjectStore) -> SimilarityModel:
    """Finds a registered similarity model and checks its weights.

    Args:
        uri: ``models:/NAME@champion`` (from the ledger), ``models:/NAME@ALIAS``, ``models:/NAME/3`` or ``…/latest``.
        store: Holds the manifests.

    Raises:
        SiameseError: There is no such model, or its weights do not match.
        TransientError: MLflow is needed but does not answer.
    """
    parts = uri_parts(uri)
    if parts["alias"] == "champion":
        champion = read_ledger(store, parts["name"]).champion
        if champion is None:
            fix = "run `siamese similarity promote`, or name another model"
            raise SiameseError("there is no champion yet", where=uri, fix=fix)
        return verify_weights(SimilarityModel.load(store, champion.checkpoint), champion.weights_sha256, store)
    version = remote_version(uri, store)
    return verify_weights(SimilarityModel.load(store, version.checkpoint), version.weights_sha256, store)
