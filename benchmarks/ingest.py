"""How fast scenes are uploaded and ingested, and ingested again, in how much memory. Prints one JSON line."""

from __future__ import annotations

import argparse
import json
import os
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from localstorage import local_storage

from siamese.ingest import UploadReport, ingest, upload
from siamese.manifests import SceneCatalog
from siamese.params import IngestParams, SampleParams
from siamese.sample import write_sample
from siamese.store import ObjectStore

T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """What was measured."""

    benchmark: str
    cpus: int
    form: str
    workers: int
    scenes: int
    quarantined: int
    mb: float
    uploaded_mb_per_s: float
    ingested_scenes_per_s: float
    ingested_mb_per_s: float
    cpu_ms_per_scene: float
    unchanged_s: float
    """Ingest of the same prefix when nothing has changed."""
    one_more_object_s: float
    """Ingest when one object has come to it."""
    peak_rss_mib: int


def main() -> None:
    """Makes or takes scenes, brings them to an S3 server of its own, ingests them three times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="xBD scenes, or an archive of them; by default made-up ones")
    parser.add_argument("--scenes", type=int, default=24, help="how many made-up scenes")
    parser.add_argument("--form", choices=("folder", "tar", "tar.gz"), default="folder", help="how they are held")
    parser.add_argument("--workers", type=int, default=IngestParams().workers, help="scenes read at once")
    options = parser.parse_args()
    with local_storage() as store, tempfile.TemporaryDirectory(prefix="siamese-benchmark-") as scratch:
        source = options.folder or Path(scratch) / "scenes"
        if options.folder is None:
            write_sample(source, SampleParams(scenes=options.scenes))
        if options.form != "folder":
            source = _packed(source, Path(scratch) / f"scenes.{options.form}")
        print(json.dumps(asdict(measure(store, source, options.form, options.workers))))


def measure(store: ObjectStore, source: Path, form: str, workers: int) -> Result:
    """Uploads and ingests."""
    target, params = store.raw / "scenes", IngestParams(workers=workers)
    report, upload_s, _ = _timed(lambda: upload(source, target, store))
    catalog, ingest_s, cpu_s = _timed(lambda: ingest(target, params, store))
    _, unchanged_s, _ = _timed(lambda: ingest(target, params, store))
    store.put(target / "README.md", b"one object more")
    _, again_s, _ = _timed(lambda: ingest(target, params, store))
    return _result(form, workers, report, catalog, (upload_s, ingest_s, cpu_s, unchanged_s, again_s))


def _result(
    form: str,
    workers: int,
    report: UploadReport,
    catalog: SceneCatalog,
    seconds: tuple[float, float, float, float, float],
) -> Result:
    upload_s, ingest_s, cpu_s, unchanged_s, again_s = seconds
    scenes, mb = catalog.accepted + catalog.unlabelled, report.bytes / 1e6
    return Result(
        benchmark="ingest",
        cpus=os.cpu_count() or 1,
        form=form,
        workers=workers,
        scenes=scenes,
        quarantined=catalog.quarantined,
        mb=round(mb, 1),
        uploaded_mb_per_s=round(mb / upload_s, 1),
        ingested_scenes_per_s=round(scenes / ingest_s, 2),
        ingested_mb_per_s=round(mb / ingest_s, 1),
        cpu_ms_per_scene=round(1000 * cpu_s / max(scenes, 1), 1),
        unchanged_s=round(unchanged_s, 3),
        one_more_object_s=round(again_s, 3),
        peak_rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )


def _packed(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as packed:
        packed.add(folder, arcname=".")
    return archive


def _timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """What the work gave, and its seconds on the wall and of processors."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
