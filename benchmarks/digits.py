"""Measures similarity learned from scikit-learn's digits, on three digits that training never saw.

For each seed three digits are held out for the test and two for validation. Compares contrastive, triplet and
cross-entropy training, each by verification AUC and by 1- and 5-shot accuracy among the three new digits. Prints one
JSON line.

    python benchmarks/digits.py --seeds 5
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from budget import Budget, add_minutes
from localstorage import local_storage
from sklearn.datasets import load_digits

from siamese.manifests import ItemSet
from siamese.params import ItemsParams, SimilarityEvaluationParams, SimilarityParams
from siamese.progress import log_to_stderr
from siamese.similarity.data import pack_items
from siamese.similarity.data.arrays import found_in_arrays
from siamese.similarity.evaluate import evaluate_similarity, read_report
from siamese.similarity.verb import train_similarity
from siamese.store import ObjectStore

ITEMS: Mapping[str, object] = {"kind": "image", "side_px": 16, "val_share": 0.2, "test_share": 0.3}
SHARED: Mapping[str, object] = {"width": 16, "dim": 32, "batch": 64, "per_class": 8, "augment": 0.3, "epochs": 25}
LOSSES: Mapping[str, Mapping[str, object]] = {
    "contrastive": {"loss": "contrastive"},
    "triplet": {"loss": "triplet", "miner": "semihard", "margin": 0.2},
    "bce": {"loss": "bce", "distance": "learned", "normalized": False},
}
EVALUATION = SimilarityEvaluationParams(ways=3, shots=(1, 5), episodes=500)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_minutes(parser)
    parser.add_argument("--seeds", type=int, default=5, help="splits and starts to average over")
    parser.add_argument("--epochs", type=int, default=SHARED["epochs"], help="epochs of each training")
    given = parser.parse_args(arguments)
    log_to_stderr()
    budget = Budget("digits", given.minutes)
    spent = time.process_time()
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in LOSSES}
    held: list[list[str]] = []
    with local_storage() as store:
        for seed in range(given.seeds):
            items = budget.attempt(f"split {seed}", partial(_items, seed, store))
            if items is None:
                continue
            held.append(_held_out(items, store))
            for name in LOSSES:
                learn = partial(_learned, items, name, given.epochs, seed, store)
                if (row := budget.attempt(f"split {seed}, {name}", learn)) is not None:
                    rows[name].append(row)
    line: dict[str, Any] = {"seeds": given.seeds, "epochs": given.epochs, "held_out": held}
    for name, own in rows.items():
        for figure in own[0] if own else ():
            values = [row[figure] for row in own]
            line[f"{name}_{figure}"] = round(float(np.mean(values)), 4)
            line[f"{name}_{figure}_spread"] = round(float(np.std(values)), 4)
    if gains := [row["5_shot"] - row["1_shot"] for own in rows.values() for row in own]:
        line["five_shot_gain"] = round(float(np.mean(gains)), 4)
        line["five_shot_better_in"] = f"{sum(gain > 0 for gain in gains)} of {len(gains)}"
    line["processor_minutes"] = round((time.process_time() - spent) / 60, 1)
    print(budget.record(line))


def _items(seed: int, store: ObjectStore) -> ItemSet:
    """Publishes the digits, split by a seed."""
    digits, params = load_digits(), ItemsParams.model_validate({**ITEMS, "seed": seed})
    found = found_in_arrays(digits.images, digits.target.tolist(), params)
    return pack_items(found, params, store, name="scikit-learn's digits")


def _learned(items: ItemSet, loss: str, epochs: int, seed: int, store: ObjectStore) -> dict[str, float]:
    """Trains with a loss, and returns the figures of the test digits."""
    params = SimilarityParams.model_validate({**SHARED, **LOSSES[loss], "epochs": epochs, "seed": seed})
    model = train_similarity(items, params, store)
    report = read_report(evaluate_similarity(model, items, EVALUATION, store), store)
    return {"auc": report.scores.auc, "eer": report.scores.eer} | {
        f"{count}_shot": value for count, value in report.few_shot.items()
    }


def _held_out(items: ItemSet, store: ObjectStore) -> list[str]:
    from siamese.similarity.data import read_items

    test = read_items(items, "test", store)
    return list(test.names) if test else []


if __name__ == "__main__":
    main()
