"""The stages ``item-set``, ``similarity-model`` and ``similarity-evaluation``."""

from __future__ import annotations

from siamese.manifests import ItemSet, SimilarityEvaluation, SimilarityModel
from siamese.params import ItemsParams, SimilarityEvaluationParams, SimilarityParams
from siamese.store import Stage

ITEM_SET = Stage(ItemSet, version=2, package="siamese.similarity.data", sections={"items": ItemsParams})
SIMILARITY_MODEL = Stage(
    SimilarityModel, version=1, package="siamese.similarity", sections={"similarity": SimilarityParams}
)
SIMILARITY_EVALUATION = Stage(
    SimilarityEvaluation,
    version=1,
    package="siamese.similarity",
    sections={"similarity_evaluation": SimilarityEvaluationParams},
)
