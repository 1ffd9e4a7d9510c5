"""How fast pairs are built and read, and how many bytes a crop costs. Prints one JSON line."""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from localstorage import local_storage

from siamese.ingest import ingest, upload
from siamese.manifests import PairSet
from siamese.pairs import PairReader, build_pairs
from siamese.params import IngestParams, PairsParams, SampleParams
from siamese.sample import write_sample
from siamese.settings import Settings
from siamese.store import ObjectStore, S3Uri


@dataclass(frozen=True)
class Result:
    """What was measured."""

    benchmark: str
    cpus: int
    scenes: int
    block_px: int
    crop_px: int
    built_scenes_per_s: float
    built_cpu_ms_per_scene: float
    stored_bytes_per_scene: int
    crops_per_s_from_storage: float
    crops_per_s_from_cache: float
    crop_cpu_ms_from_cache: float
    whole_scene_ms_from_cache: float
    bytes_per_crop: int
    bytes_per_crop_decoded: int
    """Of its two images, as pixels."""
    requests_per_crop: float
    peak_rss_mib: int


class CountingStore(ObjectStore):
    """Counts requests and bytes."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self.requests = self.bytes = 0

    def get(self, uri: S3Uri, *, version_id: str | None = None, start: int = 0, length: int | None = None) -> bytes:
        """Reads, and counts."""
        data = super().get(uri, version_id=version_id, start=start, length=length)
        self.requests += 1
        self.bytes += len(data)
        return data


def main() -> None:
    """Makes or takes scenes, brings them to an S3 server of its own, builds pairs, reads crops."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="xBD scenes; by default made-up ones")
    parser.add_argument("--scenes", type=int, default=12, help="how many made-up scenes")
    parser.add_argument("--crops", type=int, default=300, help="how many crops are read")
    parser.add_argument("--crop-px", type=int, default=256, help="side of a crop")
    parser.add_argument("--block-px", type=int, default=PairsParams().block_px, help="side of a block")
    parser.add_argument("--workers", type=int, default=PairsParams().workers, help="scenes prepared at once")
    options = parser.parse_args()
    params = PairsParams(val_share=0, test_share=0, block_px=options.block_px, workers=options.workers)
    with local_storage() as store, tempfile.TemporaryDirectory(prefix="siamese-benchmark-") as scratch:
        folder = options.folder or Path(scratch) / "scenes"
        if options.folder is None:
            write_sample(folder, SampleParams(scenes=options.scenes))
        upload(folder, store.raw / "scenes", store)
        catalog = ingest(store.raw / "scenes", IngestParams(), store)
        build = _Clock()
        pair_set = build_pairs(catalog, params, store)
        result = read(store, pair_set, options.crops, options.crop_px, build.stop())
    print(json.dumps(asdict(result)))


class _Clock:
    """Seconds on the wall and of processors."""

    def __init__(self) -> None:
        self.wall, self.cpu = -time.perf_counter(), -time.process_time()

    def stop(self) -> _Clock:
        """Stops it."""
        self.wall += time.perf_counter()
        self.cpu += time.process_time()
        return self


def read(store: ObjectStore, pair_set: PairSet, crops: int, size: int, build: _Clock) -> Result:
    """Reads crops at random, first from storage, then from the cache."""
    counting = CountingStore(store.settings)
    uncached = PairReader(counting, pair_set, cache=None)
    scenes = uncached.scenes("train")
    rng = np.random.default_rng(0)
    picks = [
        (scenes[n].scene, int(rng.integers(scenes[n].height - size + 1)), int(rng.integers(scenes[n].width - size + 1)))
        for n in rng.integers(len(scenes), size=crops)
    ]
    counting.requests = counting.bytes = 0
    cold = _read_crops(uncached, picks, size)
    requests, fetched = counting.requests, counting.bytes
    cached = PairReader(counting, pair_set, cache=store.settings.cache)
    whole = [entry.scene for entry in scenes[:12]]
    for scene in {scene for scene, _, _ in picks} | set(whole):
        cached.whole(scene)
    warm = _read_crops(cached, picks, size)
    wholes = _Clock()
    for scene in whole:
        cached.whole(scene)
    return Result(
        benchmark="pairs",
        cpus=os.cpu_count() or 1,
        scenes=len(scenes),
        block_px=pair_set.block_px,
        crop_px=size,
        built_scenes_per_s=round(len(scenes) / build.wall, 2),
        built_cpu_ms_per_scene=round(1000 * build.cpu / len(scenes), 1),
        stored_bytes_per_scene=sum(shard.size for shard in pair_set.shards) // len(scenes),
        crops_per_s_from_storage=round(crops / cold.wall, 1),
        crops_per_s_from_cache=round(crops / warm.wall, 1),
        crop_cpu_ms_from_cache=round(1000 * warm.cpu / crops, 2),
        whole_scene_ms_from_cache=round(1000 * wholes.stop().wall / len(whole), 1),
        bytes_per_crop=fetched // crops,
        bytes_per_crop_decoded=2 * 3 * size * size,
        requests_per_crop=round(requests / crops, 2),
        peak_rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )


def _read_crops(reader: PairReader, picks: list[tuple[str, int, int]], size: int) -> _Clock:
    clock = _Clock()
    for scene, row, col in picks:
        reader.crop(scene, row, col, size)
    return clock.stop()


if __name__ == "__main__":
    main()
