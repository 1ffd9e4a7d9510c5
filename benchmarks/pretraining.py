"""Whether pre-training without labels helps when few scenes are labelled. Prints one JSON line.

python benchmarks/pretraining.py [--minutes 120] [--folds 3] [--labelled 5 10 20] [--train-minutes 4]
    [--pretrain-minutes 4] [--methods simsiam byol dino] [--imagenet] [--work FOLDER]

For each fold of real scenes: an encoder is pre-trained once by each method on the images of all training scenes; the
network is trained on 5, 10 or 20 labelled scenes from each of these encoders, and from one that was not pre-trained;
then scored on the fold's test scenes. Minutes are counted in processor time, so other load on the machine changes
little. Without --imagenet everything starts from random weights; with it, from ImageNet's. Results are kept in --work,
and the command continues where it stopped.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from budget import Budget, add_minutes
from localstorage import local_storage

from siamese.evaluation import evaluate
from siamese.ingest import ingest
from siamese.manifests import PairSet, Pretraining
from siamese.pairs import build_pairs
from siamese.params import (
    EvaluationParams,
    IngestParams,
    NetworkParams,
    PairsParams,
    PretrainingParams,
    TrainingParams,
)
from siamese.pretraining import pretrain
from siamese.progress import log_to_stderr
from siamese.store import ObjectStore
from siamese.training import train

_IMAGE = re.compile(r"(?P<scene>.+)_(pre|post)_disaster\.png")
METHODS = ("simsiam", "byol", "dino")
NONE = "none"


def main() -> None:
    """Trains and scores every combination that time permits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_minutes(parser)
    data = Path(os.environ.get("SIAMESE_DATA", "../shared/data")) / "xbd"
    parser.add_argument("--folder", type=Path, default=data, help="labelled scenes in xBD's flat layout")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--labelled", type=int, nargs="+", default=[5, 10, 20])
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    parser.add_argument("--train-minutes", type=float, default=4, help="of processor time")
    parser.add_argument("--pretrain-minutes", type=float, default=4, help="of processor time")
    parser.add_argument("--imagenet", action="store_true", help="start everything from ImageNet's weights")
    parser.add_argument("--work", type=Path, help="folder that keeps results; by default none are kept")
    options = parser.parse_args()
    log_to_stderr()
    budget = Budget("pretraining", options.minutes)
    scores: defaultdict[str, defaultdict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    with local_storage(options.work) as store:
        for fold in range(options.folds):
            parents: dict[str, Pretraining] = {}
            for count in options.labelled:
                build = partial(_pairs, options.folder, fold, options.folds, count, store)
                pairs = budget.attempt(f"pairs of fold {fold}, {count} labelled", build)
                if pairs is None:
                    continue
                for start in (NONE, *options.methods):
                    piece = f"fold {fold}, {count} labelled, {start}"
                    score = budget.attempt(piece, partial(_score, pairs, start, parents, options, store))
                    if score is not None:
                        scores[str(count)][start][fold] = score
                        print(f"{piece}: {score:.4f}", file=sys.stderr, flush=True)
    found: dict[str, Any] = {
        "cpus": os.cpu_count(),
        "start": "imagenet" if options.imagenet else "random",
        "train_minutes": options.train_minutes,
        "pretrain_minutes": options.pretrain_minutes,
        "scores": {
            count: {start: _spread(by_fold) for start, by_fold in starts.items()} for count, starts in scores.items()
        },
        "gains": {count: _gains(starts) for count, starts in scores.items()},
    }
    print(budget.record(found))


def _pairs(folder: Path, fold: int, folds: int, count: int, store: ObjectStore) -> PairSet:
    """Puts a fold on the bucket: a few scenes with labels, the others without, and the test scenes; makes pairs."""
    found = (_IMAGE.fullmatch(path.name) for path in (folder / "images").iterdir())
    scenes = sorted({image["scene"] for image in found if image})
    order = np.random.default_rng(0).permutation(len(scenes))
    # Events are spread over the folds, as the order of names would not do.
    tested = {scenes[place] for place in order[fold::folds]}
    others = [scenes[place] for place in order if scenes[place] not in tested]
    labelled = {*others[:count], *tested}
    root = store.raw / f"fold-{fold}-of-{folds}-{count}"
    for scene in scenes:
        split = "test" if scene in tested else "train"
        for date in ("pre", "post"):
            name = f"{scene}_{date}_disaster"
            store.put(root / split / "images" / f"{name}.png", (folder / "images" / f"{name}.png").read_bytes())
            if scene in labelled:
                store.put(root / split / "labels" / f"{name}.json", (folder / "labels" / f"{name}.json").read_bytes())
    params = PairsParams(split="official", val_share=0, test_share=0.3, unlabelled=True)
    return build_pairs(ingest(root, IngestParams(), store), params, store)


def _score(
    pairs: PairSet, start: str, parents: dict[str, Pretraining], options: argparse.Namespace, store: ObjectStore
) -> float:
    """Returns the score on the fold's test scenes; `parents` holds the fold's encoders, for any number of labels."""
    network = NetworkParams(pretrained=options.imagenet)
    if start != NONE and start not in parents:
        given = {"method": start, "minutes": options.pretrain_minutes, "clock": "processor", "epochs": 10_000}
        how = PretrainingParams.model_validate(given)
        parents[start] = pretrain(pairs, network, how, store)
    params = TrainingParams(minutes=options.train_minutes, clock="processor", epochs=10_000)
    checkpoint = train(pairs, network, params, store, parent=parents.get(start))
    return evaluate(checkpoint, pairs, EvaluationParams(split="test"), store).scores.score


def _spread(by_fold: dict[int, float]) -> dict[str, Any]:
    values = list(by_fold.values())
    return {
        "mean": float(np.mean(values)),
        "std": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "folds": dict(sorted(by_fold.items())),
    }


def _gains(starts: dict[str, dict[int, float]]) -> dict[str, Any]:
    """Returns the gain of each method over none in the same fold: mean, and its standard error."""
    gains = {}
    for start, by_fold in starts.items():
        both = sorted(set(by_fold) & set(starts.get(NONE, {})))
        if start != NONE and both:
            each = [by_fold[fold] - starts[NONE][fold] for fold in both]
            error = float(np.std(each, ddof=1) / np.sqrt(len(each))) if len(each) > 1 else None
            gains[start] = {"mean": float(np.mean(each)), "standard_error": error, "folds": len(each)}
    return gains


if __name__ == "__main__":
    main()
