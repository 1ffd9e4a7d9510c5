"""Measures similarity of time series on speakers never heard, and change detection against ruptures.

Data: JapaneseVowels, which the ``aeon`` package carries (Kudo et al. 1999): nine speakers say a vowel; twelve channels,
7 to 29 steps. For each seed, three speakers are held out for the test and two for validation. Change detection: long
series in which held-out speakers alternate; where does the speaker change? ``ruptures``, which knows nothing of
speakers, searches the same series, and is told the true number of changes; the model is measured both so and with the
threshold that it chose on validation. Prints one JSON line.

    python benchmarks/series.py --data FOLDER_OF_UNPACKED_AEON
"""

from __future__ import annotations

import argparse
import importlib.resources
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from budget import Budget, add_minutes
from localstorage import local_storage
from numpy.typing import NDArray

from siamese.errors import SiameseError
from siamese.manifests import ItemSet
from siamese.params import ItemsParams, SimilarityEvaluationParams, SimilarityParams
from siamese.progress import log_to_stderr
from siamese.similarity.changes import peaks, series_changes
from siamese.similarity.data import pack_items, read_items
from siamese.similarity.data.find import find_items
from siamese.similarity.data.items import Found, Items
from siamese.similarity.embedder import load_embedder
from siamese.similarity.evaluate import evaluate_similarity, read_report
from siamese.similarity.verb import train_similarity
from siamese.store import ObjectStore

NAME = "JapaneseVowels"
ITEMS: Mapping[str, object] = {"kind": "series", "standardize": False, "val_share": 0.2, "test_share": 0.34}
RECIPE: Mapping[str, object] = {
    "width": 32, "dim": 32, "batch": 64, "per_class": 8, "augment": 0.3, "epochs": 60, "loss": "multi_similarity",
    "distance": "cosine", "dropout": 0.2,
}  # fmt: skip
VARIANTS: Mapping[str, Mapping[str, object]] = {"mean": {}, "attention": {"attention": True}}
EVALUATION = SimilarityEvaluationParams(ways=3, shots=(1, 5), episodes=500)
WINDOW, UTTERANCES, SEGMENTS, LONG = 24, 4, 6, 10


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_minutes(parser)
    parser.add_argument("--data", type=Path, help="folder with aeon/datasets/data; by default the installed package's")
    parser.add_argument("--seeds", type=int, default=3, help="splits and starts to average over")
    parser.add_argument("--epochs", type=int, default=RECIPE["epochs"], help="epochs of each training")
    given = parser.parse_args(arguments)
    log_to_stderr()
    budget = Budget("series", given.minutes)
    spent = time.process_time()
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    with local_storage() as store:
        for seed in range(given.seeds):
            items = budget.attempt(f"split {seed}", partial(_items, given.data, seed, store))
            if items is None:
                continue
            for name in VARIANTS:
                learn = partial(_learned, items, name, given.epochs, seed, store)
                if (row := budget.attempt(f"split {seed}, {name}", learn)) is not None:
                    rows[name].append(row)
    line: dict[str, Any] = {"data": NAME, "seeds": given.seeds, "epochs": given.epochs}
    for name, own in rows.items():
        for figure in own[0] if own else ():
            values = [row[figure] for row in own]
            line[f"{name}_{figure}"] = round(float(np.mean(values)), 4)
            line[f"{name}_{figure}_spread"] = round(float(np.std(values)), 4)
    line["processor_minutes"] = round((time.process_time() - spent) / 60, 1)
    print(budget.record(line))


def _items(data: Path | None, seed: int, store: ObjectStore) -> ItemSet:
    """Publishes the vowels, speakers split by a seed."""
    params = ItemsParams.model_validate({**ITEMS, "seed": seed})
    return pack_items(vowels(data, params), params, store, name=NAME)


def _learned(items: ItemSet, variant: str, epochs: int, seed: int, store: ObjectStore) -> dict[str, float]:
    """Trains a variant, and returns the figures of the test speakers and of changes between them."""
    params = SimilarityParams.model_validate({**RECIPE, **VARIANTS[variant], "epochs": epochs, "seed": seed})
    model = train_similarity(items, params, store)
    report = read_report(evaluate_similarity(model, items, EVALUATION, store), store)
    row = {"auc": report.scores.auc, "eer": report.scores.eer}
    row |= {f"{count}_shot": value for count, value in report.few_shot.items()}
    test = read_items(items, "test", store)
    assert test is not None  # noqa: S101
    return row | detection(load_embedder(store, model), test, seed)


def vowels(data: Path | None, params: ItemsParams) -> Found:
    """Reads both files of the set; speakers are its classes.

    Raises:
        SiameseError: There are no such files.
    """
    try:
        root = (data / "aeon" if data else Path(str(importlib.resources.files("aeon")))) / "datasets" / "data" / NAME
    except ModuleNotFoundError as error:
        fix = "install aeon, or unpack its wheel and give --data FOLDER"
        raise SiameseError("is not installed", where="aeon", fix=fix) from error
    parts = [find_items(root / f"{NAME}_{part}.ts", params) for part in ("TRAIN", "TEST")]
    return Found("series", [item for part in parts for item in part.items])


def detection(embedder: Any, test: Items, seed: int) -> dict[str, float]:  # noqa: ANN401
    """Returns the F1 of found changes, a change found within half a window, of the model and of ruptures."""
    import ruptures

    found: dict[str, list[float]] = {"changes_f1": [], "changes_f1_count_known": []}
    found |= {f"ruptures_{name}_f1": [] for name in ("window", "binseg", "kernel")}
    for number in range(LONG):
        series, true = long_series(test, np.random.default_rng((seed, number)))
        told, curve = series_changes(embedder, series, window=WINDOW)
        found["changes_f1"].append(f1([change.step for change in told], true))
        best = sorted(peaks(curve, -np.inf, WINDOW), key=lambda step: -curve[step])[: len(true)]
        found["changes_f1_count_known"].append(f1(best, true))
        signal = series.T.astype(float)
        searches = {
            "window": ruptures.Window(width=2 * WINDOW, model="rbf"),
            "binseg": ruptures.Binseg(model="rbf", min_size=WINDOW),
            "kernel": ruptures.KernelCPD(kernel="rbf", min_size=WINDOW),
        }
        for name, search in searches.items():
            steps = search.fit(signal).predict(n_bkps=len(true))[:-1]
            found[f"ruptures_{name}_f1"].append(f1(steps, true))
    return {name: float(np.mean(values)) for name, values in found.items()}


def long_series(items: Items, rng: np.random.Generator) -> tuple[NDArray[np.float32], list[int]]:
    """Joins utterances of speakers who take turns.

    Returns:
        ``(channels, steps)``, and the steps at which another speaker begins.
    """
    parts: list[NDArray[np.float32]] = []
    true: list[int] = []
    before = -1
    for _ in range(SEGMENTS):
        speaker = int(rng.choice([number for number in range(len(items.names)) if number != before]))
        if parts:
            true.append(sum(part.shape[1] for part in parts))
        for place in rng.choice(np.flatnonzero(items.labels == speaker), UTTERANCES, replace=False):
            value = items.values[place]
            parts.append(value[:, np.isfinite(value).all(0)])
        before = speaker
    return np.concatenate(parts, axis=1), true


def f1(found: Sequence[int], true: Sequence[int]) -> float:
    """Returns the F1 of changes; each true one is found by at most one, within half a window."""
    left = list(found)
    hits = 0
    for step in true:
        near = [one for one in left if abs(one - step) <= WINDOW // 2]
        if near:
            left.remove(min(near, key=lambda one: abs(one - step)))
            hits += 1
    return 2 * hits / max(1, len(found) + len(true))


if __name__ == "__main__":
    main()
