"""How long `siamese adapt` computes: from vectors, probabilities and labels to the class of each building.

Vectors are made up: clusters of 696 numbers, as the default network gives for a building, in which classes differ.
Times are of the main directions of all vectors, of the model with the labels, and of the decision; each is the least of
--repeats, as other work on the machine only adds. Reading and publishing the map are not in them. Prints one JSON line.

    python benchmarks/adapting.py --buildings 100000
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from budget import Budget, add_minutes

from siamese.adaptation.model import CLASSES, adapt_along, decide_classes, directions_of
from siamese.params import AdaptationParams

T = TypeVar("T")
Floats = npt.NDArray[np.float64]
_CLUSTERS = 64


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--buildings", type=int, default=100_000, help="buildings of the map")
    parser.add_argument("--dimension", type=int, default=696, help="numbers of a vector")
    parser.add_argument("--labels", type=int, default=20, help="labelled buildings")
    parser.add_argument("--repeats", type=int, default=5, help="the least time of so many counts")
    add_minutes(parser)
    options = parser.parse_args()
    budget = Budget("adapting", options.minutes)
    record: dict[str, Any] = {name: getattr(options, name) for name in ("buildings", "dimension", "labels", "repeats")}
    work = partial(measure, options.buildings, options.dimension, options.labels, options.repeats)
    print(budget.record(record | (budget.attempt(f"{options.buildings} buildings", work) or {})))


def measure(buildings: int, dimension: int, labels: int, repeats: int) -> dict[str, float]:
    """Returns the seconds of each part.

    Args:
        buildings: How many.
        dimension: Of a vector.
        labels: Labelled buildings.
        repeats: The least time of so many counts.
    """
    vectors, prior, truth = made_buildings(buildings, dimension, np.random.default_rng(0))
    params = AdaptationParams()
    labelled = {int(place): int(truth[place]) for place in np.linspace(0, buildings - 1, labels).astype(int)}
    along, directions_s = _least(lambda: directions_of(vectors, params), repeats)
    adapted, model_s = _least(lambda: adapt_along(along, prior, labelled, params), repeats)
    _, decision_s = _least(lambda: decide_classes(adapted.probabilities, params), repeats)
    return {
        "directions_s": directions_s,
        "model_s": model_s,
        "decision_s": decision_s,
        "whole_s": directions_s + model_s + decision_s,
    }


def made_buildings(
    count: int, dimension: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], Floats, npt.NDArray[np.int64]]:
    """Makes up vectors ``(n, d)``, the network's probabilities ``(n, 4)``, and true classes."""
    centres = rng.normal(size=(_CLUSTERS, dimension)).astype(np.float32)
    cluster = rng.integers(_CLUSTERS, size=count)
    truth = cluster % CLASSES
    vectors = centres[cluster] + rng.standard_normal((count, dimension), np.float32)
    logits = rng.normal(size=(count, CLASSES)) + np.eye(CLASSES)[truth]
    odds = np.exp(logits)
    return vectors, odds / odds.sum(axis=1, keepdims=True), truth


def _least(work: Callable[[], T], repeats: int) -> tuple[T, float]:
    """Returns what some work gives, and the least of its times in seconds."""
    found, seconds = work(), float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        found = work()
        seconds = min(seconds, time.perf_counter() - began)
    return found, seconds


if __name__ == "__main__":
    main()
