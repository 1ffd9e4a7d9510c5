"""How fast pairs are built and read, and how many bytes a crop costs. Prints one JSON line.

python benchmarks/pairs.py [--minutes 5] [--scenes 12] [--crops 300] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from budget import Budget, add_minutes
from localstorage import local_storage

from siamese.ingest import ingest, upload
from siamese.manifests import PairSet, SceneCatalog
from siamese.pairs import PairReader, build_pairs
from siamese.params import IngestParams, PairsParams, SampleParams
from siamese.progress import log_to_stderr
from siamese.sample import write_sample
from siamese.settings import Settings
from siamese.store import ObjectStore, S3Uri


class CountingStore(ObjectStore):
    """Counts requests and bytes."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self.requests = self.bytes = 0

    def get(self, uri: S3Uri, *, version_id: str | None = None, start: int = 0, length: int | None = None) -> bytes:
        """Reads an object and counts it."""
        data = super().get(uri, version_id=version_id, start=start, length=length)
        self.requests += 1
        self.bytes += len(data)
        return data


def main() -> None:
    """Makes or takes scenes, uploads them to a private S3 server, builds pairs, reads crops."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_minutes(parser)
    parser.add_argument("--folder", type=Path, help="xBD scenes; by default made-up ones")
    parser.add_argument("--scenes", type=int, default=12, help="how many made-up scenes")
    parser.add_argument("--crops", type=int, default=300, help="how many crops are read")
    parser.add_argument("--crop-px", type=int, default=256, help="side of a crop")
    parser.add_argument("--block-px", type=int, default=PairsParams().block_px, help="side of a block")
    parser.add_argument("--workers", type=int, default=PairsParams().workers, help="scenes prepared at once")
    options = parser.parse_args()
    log_to_stderr()
    budget = Budget("pairs", options.minutes)
    params = PairsParams(val_share=0, test_share=0, block_px=options.block_px, workers=options.workers)
    with local_storage() as store, tempfile.TemporaryDirectory(prefix="siamese-benchmark-") as scratch:

        def prepare() -> SceneCatalog:
            folder = options.folder or Path(scratch) / "scenes"
            if options.folder is None:
                write_sample(folder, SampleParams(scenes=options.scenes))
            upload(folder, store.raw / "scenes", store)
            return ingest(store.raw / "scenes", IngestParams(), store)

        def build(catalog: SceneCatalog) -> tuple[PairSet, _Clock]:
            clock = _Clock()
            return build_pairs(catalog, params, store), clock.stop()

        catalog = budget.attempt("catalog of the scenes", prepare)
        built = catalog and budget.attempt("pairs", lambda: build(catalog))
        found = read(store, *built, options.crops, options.crop_px, budget) if built else {}
    print(budget.record({"cpus": os.cpu_count(), "block_px": options.block_px, "crop_px": options.crop_px} | found))


class _Clock:
    """Measures wall-clock and processor seconds."""

    def __init__(self) -> None:
        self.wall, self.cpu = -time.perf_counter(), -time.process_time()

    def stop(self) -> _Clock:
        """Stops the clock."""
        self.wall += time.perf_counter()
        self.cpu += time.process_time()
        return self


def read(store: ObjectStore, pair_set: PairSet, build: _Clock, crops: int, size: int, budget: Budget) -> dict[str, Any]:
    """Reads random crops, first from storage, then from the cache, as far as time allows."""
    counting = CountingStore(store.settings)
    uncached = PairReader(counting, pair_set, cache=None)
    scenes = uncached.scenes("train")
    found: dict[str, Any] = {
        "scenes": len(scenes),
        "built_scenes_per_s": len(scenes) / build.wall,
        "built_cpu_ms_per_scene": 1000 * build.cpu / len(scenes),
        "stored_bytes_per_scene": sum(shard.size for shard in pair_set.shards) // len(scenes),
    }
    rng = np.random.default_rng(0)
    picks = [
        (scenes[n].scene, int(rng.integers(scenes[n].height - size + 1)), int(rng.integers(scenes[n].width - size + 1)))
        for n in rng.integers(len(scenes), size=crops)
    ]
    counting.requests = counting.bytes = 0
    cold = budget.attempt("crops from storage", lambda: _read_crops(uncached, picks, size))
    if cold:
        found["crops_per_s_from_storage"] = crops / cold.wall
        found["bytes_per_crop"], found["bytes_per_crop_decoded"] = counting.bytes // crops, 2 * 3 * size * size
        found["requests_per_crop"] = counting.requests / crops
    cached = PairReader(counting, pair_set, cache=store.settings.cache)
    whole = [entry.scene for entry in scenes[:12]]
    wanted = {scene for scene, _, _ in picks} | set(whole)
    if not budget.attempt("filling the cache", lambda: [cached.whole(scene) for scene in wanted]):
        return found
    warm = budget.attempt("crops from the cache", lambda: _read_crops(cached, picks, size))
    if warm:
        found["crops_per_s_from_cache"], found["crop_cpu_ms_from_cache"] = crops / warm.wall, 1000 * warm.cpu / crops
    wholes = budget.attempt("whole scenes from the cache", lambda: _read_whole(cached, whole))
    if wholes:
        found["whole_scene_ms_from_cache"] = 1000 * wholes.wall / len(whole)
    return found | {"peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def _read_whole(reader: PairReader, scenes: list[str]) -> _Clock:
    clock = _Clock()
    for scene in scenes:
        reader.whole(scene)
    return clock.stop()


def _read_crops(reader: PairReader, picks: list[tuple[str, int, int]], size: int) -> _Clock:
    clock = _Clock()
    for scene, row, col in picks:
        reader.crop(scene, row, col, size)
    return clock.stop()


if __name__ == "__main__":
    main()
