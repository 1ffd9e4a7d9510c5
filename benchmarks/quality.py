"""How good the network is on real scenes, compared with others trained as long on the same scenes.

Cross-validation over a folder of labelled scenes in xBD's layout: neighbouring scenes share a fold, each scene is
tested once, and all choices (best epoch, thresholds) are made on a part of the training scenes. Contestants:
this project's network with params.yaml; the same given the post image as both dates; torchgeo's FCSiamDiff; a Unet of
segmentation_models_pytorch over both dates. The last two have the same encoder, ImageNet weights, crops, augmentation
and optimizer (benchmarks/contest/references.py), and all are scored by the same judge.

Each network is trained for --train-minutes of processor time divided by the number of threads that it uses: other
load on the machine then hardly changes how much is learned (alone on a machine this is about wall-clock time; --clock
wall counts that instead). --jobs N trains N at a time, each on its share of the threads: more is learned in total, less
by each in its minutes. Validation counts as training; the final fit of thresholds and the test do not.

Each result is kept in --work; when run again, the command resumes where it stopped, so --minutes splits a long contest
into runs as short as needed. It uses the configured storage (AWS settings, `siamese up`), otherwise a server whose
data are kept in --work too. Prints one JSON line, and a table on stderr.

    python benchmarks/quality.py [--train-minutes 10] [--minutes 60] [--folds N] [--only ours] [--markdown]
    python benchmarks/quality.py --leave-one-event-out
    python benchmarks/quality.py --ablate all
    python benchmarks/quality.py --screen dilated-masks dropout slower --runs 24 --train-minutes 3
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from budget import Budget, add_minutes
from contest.contestants import CONTEST, Contestant, ablations, chosen

from siamese.errors import SiameseError
from siamese.progress import LOGGER, log_to_stderr

if TYPE_CHECKING:
    from contest.results import Result
    from contest.scenes import Collection, Fold

    from siamese.params import Params
    from siamese.store import ObjectStore

_DATA = Path(os.environ.get("SIAMESE_DATA", "../shared/data")) / "xbd"


def main() -> None:
    """Prints one JSON line, or Markdown."""
    options = _options()
    from siamese.allocator import restart_with_allocator

    restart_with_allocator()
    log_to_stderr()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        print(_run(options))
    except SiameseError as error:
        sys.exit(f"quality: {error}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _run(options: argparse.Namespace) -> str:
    from contest.scenes import collect, event_folds, folds, storage

    budget = Budget("quality", options.minutes)
    if options.screen:
        return _screen(options, budget)
    contestants = ablations(options.ablate) if options.ablate else chosen(options.only)
    params = _params(options)
    left_out: dict[str, str] = {}
    with storage(options.work) as store:
        collection = collect(options.data, params.ingest, store)
        parts = folds(params.pairs)
        if options.leave_one_event_out:
            parts, left_out = event_folds(collection.scenes, params.pairs)
        for event, reason in left_out.items():
            LOGGER.info(f"{event} is not held out: {reason}")
        parts = parts[: options.folds or (1 if options.ablate else None)]
        if not parts:
            fix = "bring more scenes, or leave out --leave-one-event-out"
            raise SiameseError("no event has enough buildings of every class", where=str(options.data), fix=fix)
        runs = [(one, part) for part in parts for one in contestants]
        results = _results(options, collection, store, runs, budget)
    if not results:
        return budget.record({})
    about = {"data": collection.fingerprint, "events_not_held_out": left_out}
    return _report(options, contestants, results, params, about, budget)


def _screen(options: argparse.Namespace, budget: Budget) -> str:
    from contest.scenes import collect, folds, storage
    from contest.screening import effects, effects_markdown, screen

    params = _params(options)
    parts = folds(params.pairs)[: options.folds]
    runs = screen(options.screen, options.runs, len(parts))
    with storage(options.work) as store:
        collection = collect(options.data, params.ingest, store)
        placed = [(one, parts[n % len(parts)]) for n, one in enumerate(runs)]
        results = _results(options, collection, store, placed, budget)
    if len(results) < len(runs):  # Only all of them together separate the changes.
        return budget.record(
            {"data": collection.fingerprint, "runs": len(results), "runs_missing": len(runs) - len(results)}
        )
    found = effects(options.screen, results, len(parts))
    if options.markdown:
        return effects_markdown(found, shlex.join(["python", *sys.argv]))
    record = {
        "train_minutes": options.train_minutes,
        "clock": options.clock,
        "data": collection.fingerprint,
        "runs": len(runs),
        "effects": [one.model_dump() for one in found],
    }
    return budget.record(record)


def _results(
    options: argparse.Namespace,
    collection: Collection,
    store: ObjectStore,
    runs: Sequence[tuple[Contestant, Fold]],
    budget: Budget,
) -> list[Result]:
    """Returns the results that are stored or fit into the time; an interrupted training run continues the next time."""
    from contest.results import Results
    from contest.running import Contest, run_side_by_side

    contest = Contest(collection, store, Results(options.work / "results"), partial(_params, options))
    if options.jobs > 1:
        budget.attempt(f"{options.jobs} side by side", partial(run_side_by_side, contest, runs, options.jobs))
    found = []
    for contestant, fold in runs:
        name = f"{contestant.name}, {fold.name}"
        kept = contest.kept(contestant, fold)
        result = kept if kept is not None else budget.attempt(name, partial(contest.run, contestant, fold))
        found += [result] if result is not None else []
    return found


def _report(
    options: argparse.Namespace,
    contestants: Sequence[Contestant],
    results: Sequence[Result],
    params: Params,
    about: dict[str, Any],
    budget: Budget,
) -> str:
    from contest.summary import markdown, ratio_to_references, standings, table
    from rich.console import Console

    found = standings(results, resamples=params.evaluation.resamples, seed=params.evaluation.seed)
    titles = {one.name: one.title for one in contestants}
    ratio = ratio_to_references(found, [one.name for one in contestants if one.is_reference])
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 200)
    console.print(table(found, titles, differences=bool(options.ablate)))
    if ratio is not None:
        console.print(f"mean score of ours over that of the better reference: {ratio:.3f}")
    if options.markdown:
        return markdown(found, titles, shlex.join(["python", *sys.argv]))
    record = {
        "train_minutes": options.train_minutes,
        "clock": options.clock,
        "threads": results[0].threads,
        **about,
        "ratio": ratio,
        "contestants": [one.model_dump() for one in found],
    }
    return budget.record(record)


def _params(options: argparse.Namespace, more: Iterable[str] = ()) -> Params:
    from siamese.params import load_params

    # Training ends by minutes alone.
    budget = [f"training.minutes={options.train_minutes}", f"training.clock={options.clock}", "training.epochs=1000000"]
    return load_params(options.params, [*budget, *options.set, *more])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, default=_DATA, help="folder of labelled scenes, flat: images/ and labels/")
    add("--work", type=Path, default=Path("data/quality"), help="folder of kept results, and of the storage's data")
    add_minutes(parser)
    add("--train-minutes", type=float, default=10.0, help="of training, for each contestant and fold")
    add("--jobs", type=int, default=1, help="contestants trained side by side, each with its share of the threads")
    add("--clock", choices=("processor", "wall"), default="processor", help="what minutes are counted by")
    add("--folds", type=int, help="only the first so many folds; by default all, with --ablate one")
    add(
        "--only",
        action="append",
        choices=[one.name for one in CONTEST],
        default=[],
        help="only this contestant; repeat for more",
    )
    add("--leave-one-event-out", action="store_true", help="one fold an event instead of folds over scenes")
    add(
        "--ablate",
        nargs="+",
        metavar="NAME",
        help="ours with one part changed: names of contest/ablations.yaml, or all",
    )
    add(
        "--screen",
        nargs="+",
        metavar="NAME",
        help="what each of several changes is worth: names of contest/ablations.yaml, about half of them in each run",
    )
    add("--runs", type=int, default=24, help="of --screen, shared out over the folds")
    add("--params", type=Path, default=Path("params.yaml"), help="the params file")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one param; repeat for more")
    add("--markdown", action="store_true", help="print rows for docs/experiments.md instead of JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
