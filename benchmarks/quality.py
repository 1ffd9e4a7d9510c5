"""How good the network is on real scenes, beside others that learned as long from the same scenes.

Cross-validation over a folder of labelled scenes in xBD's layout: neighbouring scenes are in one fold, each scene is
tested once, and what is decided (best epoch, thresholds) is decided on a part of the training scenes. Contestants:
this project's network with params.yaml; the same given the post image as both dates; torchgeo's FCSiamDiff; a Unet of
segmentation_models_pytorch over both dates. The last two have the same encoder, ImageNet weights, crops, augmentation
and optimizer (benchmarks/contest/references.py), and one judge scores all.

The budget is --minutes of training, of processor time over the number of threads that the network computes with: other
load on the machine then hardly changes how much is learned (alone on a machine it is about time on the wall; --clock
wall counts that). --jobs N trains N at a time, each on its share of the threads: more is learned in all, less by each
in its minutes. Validation counts as training; the last fit of thresholds and the test do not.

Each result is kept in --work; run again, the command goes on where it was. Storage is what is set up here (AWS
settings, `siamese up`), else a server whose data lie in --work too. Prints one JSON line, and a table on stderr.

    python benchmarks/quality.py [--minutes 10] [--folds N] [--only ours] [--leave-one-event-out] [--markdown]
    python benchmarks/quality.py --ablate all
    python benchmarks/quality.py --screen dilated-masks dropout slower --runs 24 --minutes 3
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    if options.screen:
        return _screen(options)
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
        results = _results(options, collection, store, [(one, part) for part in parts for one in contestants])
    return _report(options, contestants, results, params, {"data": collection.fingerprint, "left_out": left_out})


def _screen(options: argparse.Namespace) -> str:
    from contest.scenes import collect, folds, storage
    from contest.screening import effects, effects_markdown, screen

    params = _params(options)
    parts = folds(params.pairs)[: options.folds]
    runs = screen(options.screen, options.runs, len(parts))
    with storage(options.work) as store:
        collection = collect(options.data, params.ingest, store)
        results = _results(options, collection, store, [(one, parts[n % len(parts)]) for n, one in enumerate(runs)])
    found = effects(options.screen, results, len(parts))
    if options.markdown:
        return effects_markdown(found, shlex.join(["python", *sys.argv]))
    record = {
        "benchmark": "quality",
        "minutes": options.minutes,
        "clock": options.clock,
        "data": collection.fingerprint,
        "runs": len(runs),
        "effects": [one.model_dump() for one in found],
    }
    return json.dumps(_rounded(record))


def _results(
    options: argparse.Namespace, collection: Collection, store: ObjectStore, runs: Sequence[tuple[Contestant, Fold]]
) -> list[Result]:
    from contest.results import Results
    from contest.running import Contest, run_side_by_side

    contest = Contest(collection, store, Results(options.work / "results"), partial(_params, options))
    if options.jobs > 1:
        run_side_by_side(contest, runs, options.jobs)
    return [contest.run(*one) for one in runs]


def _report(
    options: argparse.Namespace,
    contestants: Sequence[Contestant],
    results: Sequence[Result],
    params: Params,
    about: dict[str, Any],
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
        "benchmark": "quality",
        "minutes": options.minutes,
        "clock": options.clock,
        "threads": results[0].threads,
        **about,
        "ratio": ratio,
        "contestants": [one.model_dump() for one in found],
    }
    return json.dumps(_rounded(record))


def _params(options: argparse.Namespace, more: Iterable[str] = ()) -> Params:
    from siamese.params import load_params

    # Minutes alone end a training.
    budget = [f"training.minutes={options.minutes}", f"training.clock={options.clock}", "training.epochs=1000000"]
    return load_params(options.params, [*budget, *options.set, *more])


def _rounded(value: Any) -> Any:  # noqa: ANN401
    match value:
        case float():
            return round(value, 4)
        case dict():
            return {name: _rounded(item) for name, item in value.items()}
        case list() | tuple():
            return [_rounded(item) for item in value]
    return value


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, default=_DATA, help="folder of labelled scenes, flat: images/ and labels/")
    add("--work", type=Path, default=Path("data/quality"), help="folder of kept results, and of the storage's data")
    add("--minutes", type=float, default=10.0, help="of training, for each contestant and fold")
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
    add("--markdown", action="store_true", help="print rows for docs/results.md instead of JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
