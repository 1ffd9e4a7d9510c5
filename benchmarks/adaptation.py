"""What clicks are worth: a network meets an event that it never saw, and a person labels a few buildings of it.

For each event a network is trained on the scenes of all others, with params.yaml, for --train-minutes of processor
time. Its buildings are the labelled outlines, so that every way is judged on the same ones. Then 5, 10, 20, 50 and 100
of them are labelled, chosen by `siamese select` or at random, in --draws draws; a draw may click four fifths of the
buildings, other ones each time. All ways are scored on the buildings that were not labelled:

- `siamese adapt`: vectors and probabilities of the network, and the labels;
- the map as it was;
- what the best public tool does: features of an ImageNet encoder (EfficientNet-Lite0) on chips of the post image, and
  logistic regression on the same labels, classes balanced.

No param of `adapt` or `select` was chosen on the event that is scored: --tune N tries N settings at random on every
event and shows, for each event, what the settings that are best on the others reach on it, beside the defaults.

Networks and arrays are kept in --work; run again, the command goes on where it stopped. It uses the configured storage
(AWS settings, `siamese up`), otherwise a server whose data are kept in --work too. Prints one JSON line.

    python benchmarks/adaptation.py [--train-minutes 8] [--minutes 90] [--draws 10] [--tune 40]
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from budget import Budget, add_minutes

from siamese.errors import SiameseError
from siamese.progress import log_to_stderr

if TYPE_CHECKING:
    from clicks.events import HeldOut
    from clicks.scoring import Score

EVENTS = ("hurricane-michael", "joplin-tornado", "santa-rosa-wildfire")
_DATA = Path(os.environ.get("SIAMESE_DATA", "../shared/data")) / "xbd"


def main() -> None:
    """Prints one JSON line."""
    options = _options()
    from siamese.allocator import restart_with_allocator

    restart_with_allocator()
    log_to_stderr()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        print(_run(options))
    except SiameseError as error:
        sys.exit(f"adaptation: {error}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _run(options: argparse.Namespace) -> str:
    from functools import partial

    from clicks.events import hold_out
    from contest.scenes import collect, storage

    from siamese.params import load_params

    budget = Budget("adaptation", options.minutes)
    training = (f"training.minutes={options.train_minutes}", "training.clock=processor", "training.epochs=1000000")
    params = load_params(options.params, [*training, *options.set])
    held: dict[str, HeldOut] = {}
    with storage(options.work) as store:
        collection = collect(options.data, params.ingest, store)
        for event in options.events:
            found = budget.attempt(event, partial(hold_out, event, collection, params, options.work, store))
            if found is not None:
                held[event] = found
    record: dict[str, Any] = {"train_minutes": options.train_minutes, "draws": options.draws}
    record["data"] = collection.fingerprint
    record["events"] = {event: _event(one, params, options.draws) for event, one in held.items()}
    record |= _summary(record["events"])
    if options.tune and len(held) > 1:
        from clicks.tuning import tune

        record["tuned"] = tune(held, params.adaptation, options.tune, options.draws)
    return budget.record(record)


def _event(held: HeldOut, params: Any, draws: int) -> dict[str, Any]:  # noqa: ANN401
    from clicks.events import support
    from clicks.scoring import Clicks, curve

    found = curve(Clicks(held, params.adaptation), len(held), range(draws))
    table = {way: {str(count): _figures(one) for count, one in scores.items()} for way, scores in found.items()}
    return {"buildings": support(held.truth), "scores": table}


def _figures(score: Score) -> dict[str, float]:
    return {"macro_f1": score.macro, "macro_f1_present": score.present, "damaged_f1": score.damaged}


def _summary(events: dict[str, Any]) -> dict[str, Any]:
    """Answers the questions that the benchmark asks, from 20 labels chosen by `select`."""
    if not events:
        return {}

    def at(event: dict[str, Any], way: str, count: int) -> float:
        return float(event["scores"][way][str(count)]["macro_f1"])

    gains = {
        name: {
            other: at(event, "adapt, select", 20) - at(event, f"{other}, select", 20)
            for other in ("map as it was", "ImageNet")
        }
        for name, event in events.items()
    }
    worth = {
        name: _worth([(int(count), one["macro_f1"]) for count, one in event["scores"]["adapt, random"].items()],
                     at(event, "adapt, select", 20))
        for name, event in events.items()
    }  # fmt: skip
    above = [gain["map as it was"] for gain in gains.values()]
    return {
        "gain_with_20_selected": gains,
        "mean_gain_over_the_map": sum(above) / len(above),
        "random_labels_that_20_selected_are_worth": worth,
    }


def _worth(curve: list[tuple[int, float]], reached: float) -> float:
    """Returns how many random labels reach a score, between those tried by the logarithm; at most the most."""
    if reached <= curve[0][1]:
        return float(curve[0][0])
    for (few, low), (many, high) in pairwise(curve):
        if low < reached <= high:
            share = (reached - low) / (high - low)
            return math.exp(math.log(few) + share * (math.log(many) - math.log(few)))
    return float(curve[-1][0])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, default=_DATA, help="folder of labelled scenes, flat: images/ and labels/")
    add("--work", type=Path, default=Path("data/adaptation"), help="folder of kept networks and arrays")
    add("--train-minutes", type=float, default=8.0, help="of processor time, for each event's network")
    add("--draws", type=int, default=10, help="for each number of labels and way to choose them")
    add("--events", nargs="+", default=list(EVENTS), metavar="EVENT", help="events to hold out")
    add("--tune", type=int, default=0, metavar="N", help="also try N settings and hold each event out of the choice")
    add("--params", type=Path, default=Path("params.yaml"), help="the params file")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one param; repeat for more")
    add_minutes(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
