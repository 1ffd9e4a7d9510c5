"""Makes the same map in several ways, each in a process of its own, and says what it cost."""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mapped.imagery import GSD_M, Image, roofs_in

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """One measurement."""

    contender: str
    """``siamese``, ``windows`` (its first step alone), ``plain`` or ``reference``."""
    pre: str
    post: str
    checkpoint: str
    windows: int
    """Windows of the map, at most, which the plain contenders stop after."""
    workers: int = 1


class Clock:
    """Seconds that parts of the work took, by name, whatever thread did them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    def timed(self, name: str, work: Callable[..., T]) -> Callable[..., T]:
        """Returns the function with its time counted."""

        def run(*args: Any, **kwargs: Any) -> T:  # noqa: ANN401
            with self.part(name):
                return work(*args, **kwargs)

        return run

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Counts the time of a block of code."""
        began = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def main() -> None:
    """Does the job given as JSON and prints one JSON line."""
    job = Job(**json.loads(sys.argv[1]))
    doing = {"siamese": _whole_map, "windows": _windows, "plain": _plain, "reference": _plain}[job.contender]
    found = doing(job)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found | {"peak_rss_mib": peak, "job": asdict(job)}))


def _whole_map(job: Job) -> dict[str, Any]:
    from siamese.allocator import keep_few_arenas
    from siamese.manifests import Checkpoint
    from siamese.mapping import predict as first
    from siamese.mapping import running, verb
    from siamese.mapping.blocks import BlockShelf
    from siamese.model import Predictor, Probabilities
    from siamese.params import MappingParams
    from siamese.store import ObjectStore

    keep_few_arenas()  # as commands and flows do that make maps
    clock, store = Clock(), ObjectStore()
    checkpoint = Checkpoint.load(store, job.checkpoint)

    class StandIn:
        """Costs what the network costs, and finds the roofs, as a trained one would."""

        def __init__(self) -> None:
            self._network = Predictor.load(store, checkpoint, expected_pairs=job.windows)
            self.decision, self.bands = self._network.decision, self._network.bands
            self.backend = self._network.backend

        def predict(
            self, pre: Image, post: Image, disaster_type: str | None = None, *, classes_only: bool = False
        ) -> Probabilities:
            with clock.part("network"):
                found = self._network.predict(pre, post, disaster_type, classes_only=classes_only)
            building = np.where(roofs_in(pre), np.float32(0.9), np.float32(0.05))
            return Probabilities(building, np.ascontiguousarray(found.damage))

    held = [StandIn()]
    backend = held[0].backend
    # As the command does: the network is given back once nothing is left to predict.
    setattr(Predictor, "load", lambda *_, **__: held.pop())  # noqa: B010
    setattr(running, "read_window", clock.timed("read", running.read_window))  # noqa: B010
    setattr(BlockShelf, "keep", clock.timed("keep", BlockShelf.keep))  # noqa: B010
    setattr(first, "survey", clock.timed("survey", vars(first)["survey"]))  # noqa: B010
    setattr(first, "align", clock.timed("align", vars(first)["align"]))  # noqa: B010
    for step in ("predict", "find_buildings", "publish_map"):
        setattr(verb, step, clock.timed(f"step_{step}", getattr(verb, step)))
    with clock.part("wall"):
        made = verb.map_pair([job.pre], [job.post], checkpoint, MappingParams(), store, event=f"bench {job.pre}")
    mpx = made.width * made.height / 1e6
    wall = clock.seconds["wall"]
    return {
        "mpx": mpx,
        "mpx_s": mpx / wall,
        "km2_h": mpx * GSD_M**2 / wall * 3600,
        "network_share": clock.seconds["network"] / wall,
        "buildings": sum(made.counts.values()),
        "unknown_share": made.unknown_share,
        "backend": backend,
        "seconds": clock.seconds,
    }


def _windows(job: Job) -> dict[str, Any]:
    """Runs the first step alone, with the network's own answers, in one process or several."""
    import tempfile

    from siamese.manifests import Checkpoint
    from siamese.mapping.inputs import find_images
    from siamese.mapping.predict import predict
    from siamese.mapping.spread import Spread
    from siamese.mapping.task import MapTask, open_imagery
    from siamese.params import PredictParams
    from siamese.store import ObjectStore

    store = ObjectStore()
    checkpoint = Checkpoint.load(store, job.checkpoint)
    params = PredictParams(workers=job.workers)
    found = find_images([job.pre], "pre", store), find_images([job.post], "post", store)
    task = MapTask(*found, (), f"bench {job.workers}", "bench", None)
    with tempfile.TemporaryDirectory() as folder, Spread(params, store) as spread:
        if job.workers > 1:
            spread.start()
        began = time.perf_counter()
        made = predict(
            task, [checkpoint], params, store, lambda bands: open_imagery(task, bands, Path(folder), store),
            spread=spread,
        )  # fmt: skip
        wall = time.perf_counter() - began
    mpx = made.width * made.height / 1e6
    return {"mpx": mpx, "mpx_s": mpx / wall, "wall_s": wall}


def _plain(job: Job) -> dict[str, Any]:
    """Maps as one would in a notebook: read a window of both dates, run the network, write classes, one by one."""
    import rasterio
    import torch
    from rasterio.vrt import WarpedVRT
    from rasterio.windows import Window
    from speed.contenders import OURS, REFERENCE, shape

    from siamese.model import build_network

    torch.manual_seed(0)
    contender = REFERENCE if job.contender == "reference" else OURS
    network = build_network(shape(contender, "tf_efficientnet_lite0")).eval()
    done, side = 0, 1024
    began = time.perf_counter()
    with rasterio.open(job.pre) as pre, rasterio.open(job.post) as post:
        grid = {"crs": pre.crs, "transform": pre.transform, "width": pre.width, "height": pre.height}
        profile = pre.profile | {"count": 1, "compress": "deflate", "photometric": "minisblack"}
        with WarpedVRT(post, **grid) as warped, rasterio.open("/vsimem/out.tif", "w", **profile) as out:
            for row, col in np.ndindex(pre.height // side, pre.width // side):
                if done == job.windows:
                    break
                window = Window(col * side, row * side, side, side)
                images = [torch.from_numpy(one.read(window=window))[None].float() / 255 for one in (pre, warped)]
                with torch.inference_mode():
                    output = network(*images)
                building = torch.sigmoid(output.localization[0, 0]) > 0.5
                classes = torch.where(building, output.damage[0].argmax(0) + 1, 0)
                out.write(classes.numpy().astype(np.uint8), 1, window=window)
                done += 1
    wall = time.perf_counter() - began
    mpx = done * side**2 / 1e6
    return {"mpx": mpx, "mpx_s": mpx / wall, "km2_h": mpx * GSD_M**2 / wall * 3600}


if __name__ == "__main__":
    main()
