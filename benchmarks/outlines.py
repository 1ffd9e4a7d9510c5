"""How outlines of buildings are drawn, compared with those that people drew, on scenes of an event that was held out.

A network is trained on the scenes of all other events, with params.yaml, for --train-minutes of processor time. Its
buildings on the scenes of the event are outlined twice: along the pixels, simplified as maps before version 2 of
`building-set` did, and as people draw. For both it counts labelled buildings that are matched one to one at an
intersection over union of .5, merges and splits, overlapping neighbours, corners a building, right angles and edges of
at most two pixels, and the processor time.

Networks and arrays are kept in --work; run again, the command goes on where it stopped. It uses the configured storage
(AWS settings, `siamese up`), otherwise a server whose data are kept in --work too. Prints one JSON line.

    python benchmarks/outlines.py [--events hurricane-michael] [--train-minutes 8] [--minutes 60]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from budget import Budget, add_minutes

from siamese.errors import SiameseError
from siamese.progress import log_to_stderr

if TYPE_CHECKING:
    from outlining.heldout import HeldOutScene
    from outlining.judging import Shapes

_DATA = Path(os.environ.get("SIAMESE_DATA", "../shared/data")) / "xbd"
_SIMPLIFIED_PX = 0.75


def main() -> None:
    """Prints one JSON line."""
    options = _options()
    from siamese.allocator import restart_with_allocator

    restart_with_allocator()
    log_to_stderr()
    try:
        print(_run(options))
    except SiameseError as error:
        sys.exit(f"outlines: {error}")


def _run(options: argparse.Namespace) -> str:
    from contest.scenes import collect, event_folds, storage
    from outlining.heldout import hold_out

    from siamese.params import load_params

    budget = Budget("outlines", options.minutes)
    training = (f"training.minutes={options.train_minutes}", "training.clock=processor", "training.epochs=1000000")
    params = load_params(options.params, [*training, *options.set])
    scenes: list[HeldOutScene] = []
    with storage(options.work) as store:
        collection = collect(options.data, params.ingest, store)
        parts, _ = event_folds(collection.scenes, params.pairs)
        for part in parts:
            if part.name.removeprefix("event-") in options.events:
                held = budget.attempt(part.name, partial(hold_out, part, collection, params, options.work, store))
                scenes += held or []
    record: dict[str, Any] = {"events": options.events, "train_minutes": options.train_minutes, "scenes": len(scenes)}
    if scenes:
        record |= _compare(scenes)
    return budget.record(record)


def _compare(scenes: list[HeldOutScene]) -> dict[str, Any]:
    from outlining.judging import Counts, judge, labelled_shapes

    from siamese.mapping.outlines import drawn

    ways: dict[str, Callable[[Shapes], Shapes]] = {
        "simplified": _simplified,
        "drawn": lambda edges: _apart(drawn(edges)),
    }
    counts, seconds = dict.fromkeys(ways, Counts()), dict.fromkeys(ways, 0.0)
    for scene in scenes:
        labelled, edges = labelled_shapes(scene.truth), _edges(scene)
        for name, draw in ways.items():
            began = time.process_time()
            outlines = draw(edges)
            seconds[name] += time.process_time() - began
            counts[name] += judge(labelled, list(outlines))
    return {
        name: counts[name].figures() | {"ms_a_building": 1000 * seconds[name] / max(1, counts[name].found)}
        for name in ways
    }


def _edges(scene: HeldOutScene) -> Shapes:
    """Returns the buildings of a scene along their pixels."""
    import numpy as np
    import shapely
    from rasterio import features

    from siamese.model.decision import number_buildings
    from siamese.params import BuildingParams

    _, numbers = number_buildings(scene.probabilities, scene.decided_by())
    parts: dict[int, list[Any]] = {}
    for geometry, value in features.shapes(numbers, mask=numbers > 0, connectivity=4):
        parts.setdefault(int(value), []).append(shapely.geometry.shape(geometry))
    whole = [one[0] if len(one) == 1 else shapely.union_all(one) for one in parts.values()]
    kept = [one for one in whole if one.area >= BuildingParams().minimum_building_px]
    found: Shapes = np.empty(len(kept), object)
    found[:] = kept
    return found


def _simplified(edges: Shapes) -> Shapes:
    import numpy as np
    import shapely

    smooth = shapely.simplify(edges, _SIMPLIFIED_PX)
    return np.where(shapely.is_valid(smooth) & ~shapely.is_empty(smooth), smooth, edges)


def _apart(outlines: Shapes) -> Shapes:
    import shapely

    from siamese.mapping.outlines import apart

    found = outlines.copy()
    if len(found):
        for one, other in zip(*shapely.STRtree(outlines).query(outlines, predicate="intersects"), strict=True):
            if one != other:
                found[one] = apart(found[one], outlines[one], outlines[other])
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, default=_DATA, help="folder of labelled scenes, flat: images/ and labels/")
    add("--work", type=Path, default=Path("data/outlines"), help="folder of kept networks and arrays")
    add("--events", nargs="+", default=["hurricane-michael"], metavar="EVENT", help="events to hold out")
    add("--train-minutes", type=float, default=8.0, help="of processor time, for each event's network")
    add("--params", type=Path, default=Path("params.yaml"), help="the params file")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one param; repeat for more")
    add_minutes(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
