"""A class that nobody trained, from a handful of examples: how much each vector is like them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from siamese.embedding.search import Scaling
from siamese.embedding.vectors import Floats
from siamese.errors import SiameseError
from siamese.params import SearchParams

_OTHERS: Final = 500
"""Vectors drawn to stand for all others where nobody named counter-examples."""
_STRENGTH: Final = 10.0
"""Inverse of the regularisation, for vectors of length 1."""


def score_like(values: Floats, positive: Sequence[int], negative: Sequence[int] = ()) -> npt.NDArray[np.float32]:
    """Scores how much each vector is like the examples.

    Regularised logistic regression on vectors of standardised elements and length 1, both sides weighing the same.
    Vectors drawn from all others stand for what is not meant, beside the counter-examples: a rare class is hardly among
    them, and those that are cost little.

    Args:
        values: ``(n, d)`` vectors.
        positive: Positions of examples.
        negative: Positions of counter-examples.

    Returns:
        ``(n,)`` float32 in 0..1, the higher the more alike; a score for ranking, not a probability.

    Raises:
        SiameseError: There is no example, an example is also a counter-example, or there is nothing else to compare.
    """
    positives, negatives = np.unique(np.asarray(positive, np.int64)), np.unique(np.asarray(negative, np.int64))
    if not positives.size:
        raise SiameseError("there is no example", where="examples", fix="name at least one building that shows it")
    if (both := np.intersect1d(positives, negatives)).size:
        what = f"{both.size} buildings are examples and counter-examples at once"
        raise SiameseError(what, where="examples", fix="decide for one")
    others = np.setdiff1d(np.arange(len(values)), np.concatenate([positives, negatives]))
    drawn = np.random.default_rng(0).choice(others, min(_OTHERS, others.size), replace=False)
    against = np.concatenate([negatives, drawn])
    if not against.size:
        raise SiameseError("every building is an example", where="examples", fix="leave some to find")
    scaled = Scaling.fit([values], values.shape[1], SearchParams())(values)
    labels = np.concatenate([np.ones(positives.size), np.zeros(against.size)])
    # Named counter-examples together weigh as much as those that were drawn.
    weights = np.concatenate([
        np.full(positives.size, 1 / positives.size),
        np.full(negatives.size, 1 / max(1, negatives.size) / (2 if drawn.size else 1)),
        np.full(drawn.size, 1 / max(1, drawn.size) / (2 if negatives.size else 1)),
    ])  # fmt: skip
    model = LogisticRegression(C=_STRENGTH * labels.size / 2, max_iter=500)
    model.fit(scaled[np.concatenate([positives, against])], labels, sample_weight=weights)
    return np.asarray(model.predict_proba(scaled)[:, 1], np.float32)
