"""Measures one-shot classification of characters of unseen alphabets, as the Omniglot challenge defines it.

Trains on each minimal background set of five alphabets alone, then runs the 20 official one-shot tests (20-way, within
one alphabet). The tests are never used for a choice: ``--validate`` holds out one background alphabet and measures on
that instead. Prints one JSON line. Data: ``$SIAMESE_DATA/omniglot`` (images_background_small1.zip and 2, all_runs.zip).

    python benchmarks/omniglot.py --minutes 30
"""

from __future__ import annotations

import argparse
import json
import os
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from localstorage import local_storage

from siamese.params import ItemsParams, SimilarityParams
from siamese.progress import log_to_stderr
from siamese.similarity.data import pack_items, read_items
from siamese.similarity.data.items import Found, RawItem
from siamese.similarity.embedder import Embedder, embed_items, load_embedder
from siamese.similarity.fewshot import episodes_accuracy
from siamese.similarity.verb import train_similarity
from siamese.similarity.verification import error_rates
from siamese.store import ObjectStore

SETS = (1, 2)
RUNS = 20
ITEMS: Mapping[str, object] = {"side_px": 28, "bands": 1, "split": "group", "val_share": 0.0, "test_share": 0.0}
RECIPE: Mapping[str, object] = {
    "clock": "processor",
    "epochs": 1000,
    "loss": "ntxent",
    "distance": "cosine",
    "temperature": 0.1,
    "batch": 128,
    "per_class": 2,
    # Old characters turned and mirrored, and pairs of them drawn into one, are new ones: five alphabets hold too few.
    "turned_classes": "turns_and_mirrors",
    "composed_share": 0.3,
    # The test compares characters of one alphabet, which are more alike than any.
    "one_group": True,
    "augment": 0.8,
    "dropout": 0.2,
    "ema_decay": 0.995,
    "learning_rate": 2e-3,
    "weight_decay": 1e-3,
}
WARPS = 16
PUBLISHED = {"people": 0.045, "bpl": 0.042, "convolutional": 0.232, "prototypical": 0.301}
"""Errors that the three-year report gives (Lake, Salakhutdinov, Tenenbaum 2019): people on the original sets, the rest
on the minimal ones."""


def characters(path: Path) -> Found:
    """Reads a background set: class ``ALPHABET/CHARACTER``, group ``ALPHABET``."""
    found = Found("image", [])
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".png"):
                _, alphabet, character, image = name.split("/")
                found.items.append(
                    RawItem(f"{alphabet}/{character}/{image}", f"{alphabet}/{character}", archive.read(name), alphabet)
                )
    return found


def official_runs(path: Path) -> Iterator[tuple[list[bytes], list[bytes], list[int]]]:
    """Yields the images to learn from, the images to tell, and which of the former is the answer, of each run."""
    with zipfile.ZipFile(path) as archive:
        names = {name.removeprefix("all_runs/"): name for name in archive.namelist()}
        for run in range(1, RUNS + 1):
            labels = archive.read(names[f"run{run:02d}/class_labels.txt"]).decode().split()
            asked, answers = labels[::2], labels[1::2]
            examples = sorted(set(answers))
            yield (
                [archive.read(names[name]) for name in examples],
                [archive.read(names[name]) for name in asked],
                [examples.index(name) for name in answers],
            )


def measure_runs(embedder: Embedder, data: Path, warps: int) -> dict[str, Any]:
    """Returns error and verification AUC over the official runs."""
    errors, distances, same = [], [], []
    for examples, asked, answers in official_runs(data / "all_runs.zip"):
        between = embedder.between(embedder.embed(asked, warps=warps), embedder.embed(examples, warps=warps))
        errors.append(float((between.argmin(1) != answers).mean()))
        distances.append(between.ravel())
        same.append((np.arange(len(examples))[None] == np.array(answers)[:, None]).ravel())
    rates = error_rates(np.concatenate(distances), np.concatenate(same))
    return {
        "error": round(float(np.mean(errors)), 4),
        "error_by_run": [round(one, 3) for one in errors],
        "verification_auc": round(rates.auc, 4),
        "verification_eer": round(rates.eer, 4),
    }


def learn_set(
    number: int, data: Path, store: ObjectStore, params: SimilarityParams, items: ItemsParams, *, validate: bool
) -> dict[str, Any]:
    """Trains on one minimal set and measures."""
    packed = pack_items(
        characters(data / f"images_background_small{number}.zip"), items, store, name=f"minimal set {number}"
    )
    began, spent = time.monotonic(), time.process_time()
    model = train_similarity(packed, params, store)
    trained = {
        "processor_minutes": round((time.process_time() - spent) / 60, 1),
        "wall_minutes": round((time.monotonic() - began) / 60, 1),
        "epochs": model.epochs,
    }
    embedder = load_embedder(store, model)
    if not validate:
        plain = measure_runs(embedder, data, 1)
        return trained | measure_runs(embedder, data, WARPS) | {"error_without_warps": plain["error"]}
    held = read_items(packed, "val", store)
    assert held is not None  # noqa: S101
    found: dict[str, Any] = dict(trained) | {"held_out": sorted(set(held.groups))}
    for warps in (1, WARPS):
        vectors = embed_items(embedder, held, warps)
        accuracy = episodes_accuracy(embedder.between(vectors, vectors), held, ways=20, shots=1, episodes=400, seed=1)
        found[f"validation_error_{warps}_warps"] = round(1 - (accuracy or 0), 4)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30, help="processor minutes of training for each set")
    parser.add_argument("--sets", type=int, nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--validate", action="store_true", help="hold out a background alphabet; no official run")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a similarity param")
    given = parser.parse_args(arguments)
    log_to_stderr()
    data = Path(os.environ.get("SIAMESE_DATA", "../shared/data")) / "omniglot"
    changes = {key: yaml.safe_load(value) for key, _, value in (one.partition("=") for one in given.set)}
    side = {key: changes.pop(key) for key in list(changes) if key in ItemsParams.model_fields and key != "seed"}
    params = SimilarityParams.model_validate({**RECIPE, "minutes": given.minutes, **changes})
    items = ItemsParams.model_validate({**ITEMS, "val_share": 0.2 if given.validate else 0.0, **side})
    with local_storage() as store:
        found = {
            number: learn_set(number, data, store, params, items, validate=given.validate) for number in given.sets
        }
    line: dict[str, Any] = {"benchmark": "omniglot", "minutes_a_set": given.minutes}
    line |= {f"set_{number}": one for number, one in found.items()}
    if not given.validate:
        line["error"] = round(float(np.mean([one["error"] for one in found.values()])), 4)
        line["verification_auc"] = round(float(np.mean([one["verification_auc"] for one in found.values()])), 4)
        line["published_errors"] = PUBLISHED
    else:
        for warps in (1, WARPS):
            name = f"validation_error_{warps}_warps"
            line[name] = round(float(np.mean([one[name] for one in found.values()])), 4)
        line["params"] = changes
    print(json.dumps(line))


if __name__ == "__main__":
    main()
