"""Compares ways to decide: thresholds, cores, votes and temperatures, on the networks that `quality.py` trained.

Takes every network of this project's kind on the storage of --work (or on the configured storage), predicts the test
scenes of the folds for which it was trained, and decides by params.yaml and in each of the ways
of contest/decisions.yaml; temperatures are the network's own unless a way sets them. Nothing is trained. The gain is
relative to the first way, per network, so that differences between networks do not blur it. Prints one JSON line.

    python benchmarks/decisions.py [--minutes 10] [--work data/quality] [--flips 1] [--markdown]
"""

from __future__ import annotations

import argparse
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from budget import Budget, add_minutes

from siamese.errors import SiameseError
from siamese.progress import log_to_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contest.deciding import Judged

    from siamese.manifests import Checkpoint
    from siamese.store import ObjectStore

_ITS_OWN = ("building_temperature", "damage_temperature", "damage_biases", "vote_temperature")


def main() -> None:
    """Prints one JSON line, or Markdown."""
    options = _options()
    from siamese.allocator import restart_with_allocator

    restart_with_allocator()
    log_to_stderr()
    try:
        print(_run(options))
    except SiameseError as error:
        sys.exit(f"decisions: {error}")


def _run(options: argparse.Namespace) -> str:
    from contest.deciding import compare, ways_markdown
    from contest.scenes import storage

    budget = Budget("decisions", options.minutes)
    with storage(options.work) as store:
        checkpoints = tuple(_trained(store, options.trained_minutes))
        if not checkpoints:
            fix = "train some with benchmarks/quality.py, and pass its --work"
            raise SiameseError("holds no network that was trained on folds", where=str(store.lake), fix=fix)
        tried = [budget.attempt(one.digest, partial(_judged, one, store, options)) for one in checkpoints]
    judged = [one for one in tried if one is not None]
    ways = compare(judged) if judged else []
    if options.markdown:
        return ways_markdown(ways, shlex.join(["python", *sys.argv]))
    minutes = sorted({round(one.minutes, 1) for one in checkpoints})
    about = {"networks": len(judged), "trained_minutes": minutes, "flips": options.flips}
    return budget.record(about | {"ways": [way.model_dump() for way in ways]})


def _trained(store: ObjectStore, minutes: float | None) -> Iterator[Checkpoint]:
    """Returns networks of both dates, not quantized, whose pair set is a fold of the contest's."""
    from siamese.manifests import Checkpoint, PairSet
    from siamese.store.manifest import MANIFEST

    for found in store.list(store.lake / Checkpoint.kind):
        if not found.uri.key.endswith(f"/{MANIFEST}"):
            continue
        checkpoint = Checkpoint.load(store, found.uri)
        if minutes not in (None, checkpoint.origin.params["training"].get("minutes")):
            continue
        origin = PairSet.load(store, checkpoint.pairs).origin
        split = origin.params.get("pairs", {})  # A post image as both dates is known by an input and has no params.
        if checkpoint.quantized is None and split.get("split") == "fold" and not split.get("test_events"):
            yield checkpoint


def _judged(checkpoint: Checkpoint, store: ObjectStore, options: argparse.Namespace) -> Judged:
    from contest.deciding import decisions_table, judge_ways

    from siamese.evaluation.pairset import split_tasks
    from siamese.manifests import PairSet
    from siamese.model import Predictor
    from siamese.params import load_params
    from siamese.training.validation import start_decision

    start = start_decision(load_params(options.params, options.set).training)
    tasks = split_tasks(PairSet.load(store, checkpoint.pairs), "test", store)
    network = Predictor.load(store, checkpoint, expected_pairs=len(tasks), flips=options.flips)
    decision = start.model_copy(update={name: getattr(network.decision, name) for name in _ITS_OWN})
    return judge_ways(tasks, network, decision, decisions_table(), options.iou)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--work", type=Path, default=Path("data/quality"), help="as quality.py was given it")
    add_minutes(parser)
    add("--trained-minutes", type=float, help="only networks that were given so long; by default all")
    add("--flips", type=int, choices=(1, 2, 4), default=1, help="views of each pair that are averaged")
    add("--iou", type=float, default=0.5, help="overlap from which a predicted building is a match")
    add("--params", type=Path, default=Path("params.yaml"), help="the params file")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one param; repeat for more")
    add("--markdown", action="store_true", help="print rows for docs/experiments.md instead of JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
