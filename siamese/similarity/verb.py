"""The verb ``train_similarity``: from an item set to a similarity model, resumable after any interruption."""

from __future__ import annotations

from functools import partial

from siamese.manifests import ItemSet, SimilarityModel
from siamese.params import SimilarityParams
from siamese.similarity.task import SimilarityTask
from siamese.store import ObjectStore


def train_similarity(items: ItemSet, params: SimilarityParams, store: ObjectStore) -> SimilarityModel:
    """Trains a similarity model; returns at once if already published, and resumes if it was interrupted.

    Args:
        items: The published item set; it learns from its train split and chooses the threshold on its val split.
        params: The network, what it learns from, and how.
        store: Where to publish.

    Returns:
        The published model.

    Raises:
        SiameseError: There is nothing to learn from, the params do not fit the items, the loss is not a number, or the
            run was asked to stop (its state is kept).
    """
    from siamese.learning.engine import learn  # imports Lightning, which only a training run needs

    return learn(partial(SimilarityTask, items, params), store)
