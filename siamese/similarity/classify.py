"""The verbs ``verify`` and ``classify``: are two items the same, and whose examples is an item like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from siamese.errors import SiameseError
from siamese.similarity.distances import Vectors
from siamese.similarity.embedder import Embedder, Raw


class Verified(BaseModel):
    """The answer about one pair."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: str
    second: str
    same: bool
    distance: float
    threshold: float
    false_accepts: float | None = Field(description="Share of other pairs accepted at the threshold, on validation.")
    false_rejects: float | None = Field(description="Share of same pairs rejected at the threshold, on validation.")


class Classified(BaseModel):
    """The answer about one item."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: str
    class_name: str | None = Field(description="None: none of these.")
    nearest: str = Field(description="The nearest class, within the threshold or not.")
    distance: float = Field(description="To it.")
    margin: float | None = Field(description="How much farther the second nearest class is; None where there is none.")
    threshold: float


def threshold_of(embedder: Embedder, asked: float | None) -> float:
    """Returns the threshold asked for, or else the model's.

    Raises:
        SiameseError: There is neither, or what is asked for is no distance.
    """
    if asked is not None:
        if not np.isfinite(asked) or asked < 0:
            raise SiameseError(f"{asked:g} is no distance", where="threshold", fix="give a finite number, 0 or more")
        return asked
    if embedder.threshold is None:
        fix = "give --threshold, or train with items.val_share above 0 and a rate of false accepts that is reached"
        raise SiameseError("has no threshold: validation gave none", where=f"model {embedder.name}", fix=fix)
    return embedder.threshold.distance


def verify(embedder: Embedder, first: Raw, second: Raw, *, threshold: float | None = None, warps: int = 1) -> Verified:
    """Decides whether two items are the same.

    Args:
        embedder: The model.
        first: A file, array or text; of a pseudo-Siamese model, what its first encoder takes.
        second: Another; likewise for its second encoder.
        threshold: Distance at or below which they are the same; by default the model's.
        warps: Average the vectors of so many small affine changes of each image.

    Raises:
        SiameseError: One cannot be read, or there is no threshold.
    """
    limit = threshold_of(embedder, threshold)
    second_branch = len(embedder.network.branches) - 1
    one, other = embedder.embed([first], 0, warps), embedder.embed([second], second_branch, warps)
    distance = float(embedder.apart(one, other)[0])
    known = embedder.threshold if threshold is None else None
    return Verified(
        first=_name(first),
        second=_name(second),
        same=distance <= limit,
        distance=distance,
        threshold=limit,
        false_accepts=known.false_accepts if known else None,
        false_rejects=known.false_rejects if known else None,
    )


def classify(
    embedder: Embedder,
    items: Sequence[Raw],
    examples: Mapping[str, Sequence[Raw]],
    *,
    threshold: float | None = None,
    warps: int = 1,
) -> list[Classified]:
    """Tells for each item which class's examples it is like, or that it is like none of them.

    The distance to a class is the mean of those to its examples: with one a class this is one-shot, with more few-shot
    classification. The network is not trained again, so classes may be new.

    Args:
        embedder: The model.
        items: Files, arrays or texts; of a pseudo-Siamese model, what its second encoder takes.
        examples: One or more of each class; of a pseudo-Siamese model, what its first encoder takes.
        threshold: A class farther than this is never the answer; by default the model's.
        warps: Average the vectors of so many small affine changes of each image.

    Raises:
        SiameseError: A class has no example, something cannot be read, or there is no threshold.
    """
    limit = threshold_of(embedder, threshold)
    empty = [name for name, own in examples.items() if not len(own)]
    if empty or not examples:
        where = f"class {empty[0]}" if empty else "examples"
        raise SiameseError("has no example", where=where, fix="give one folder of one or more examples a class")
    known = {name: embedder.embed(list(own), warps=warps) for name, own in examples.items()}
    asked = embedder.embed(list(items), len(embedder.network.branches) - 1, warps)
    return classify_vectors(embedder, asked, [_name(item) for item in items], known, limit)


def classify_vectors(
    embedder: Embedder, vectors: Vectors, ids: Sequence[str], examples: Mapping[str, Vectors], threshold: float
) -> list[Classified]:
    """Tells the class of vectors by the vectors of examples; see :func:`classify`."""
    names = list(examples)
    to_classes = np.stack([embedder.between(vectors, examples[name]).mean(1) for name in names], 1)
    return [_answer(name, row, names, threshold) for name, row in zip(ids, to_classes, strict=True)]


def _answer(item: str, distances: NDArray[np.float32], names: Sequence[str], threshold: float) -> Classified:
    order = np.argsort(distances, kind="stable")
    nearest = float(distances[order[0]])
    return Classified(
        item=item,
        class_name=names[order[0]] if nearest <= threshold else None,
        nearest=names[order[0]],
        distance=nearest,
        margin=float(distances[order[1]]) - nearest if len(order) > 1 else None,
        threshold=threshold,
    )


def _name(raw: Raw) -> str:
    return raw.hex()[:12] if isinstance(raw, bytes) else (f"array {raw.shape}" if hasattr(raw, "shape") else str(raw))
