"""How fast scenes are uploaded, ingested and re-ingested, and in how much memory. Prints one JSON line.

python benchmarks/ingest.py [--minutes 5] [--scenes 24] [--form tar.gz] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import os
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from budget import Budget, add_minutes
from localstorage import local_storage

from siamese.ingest import ingest, upload
from siamese.params import IngestParams, SampleParams
from siamese.progress import log_to_stderr
from siamese.sample import write_sample
from siamese.store import ObjectStore

T = TypeVar("T")


def main() -> None:
    """Makes or takes scenes, uploads them to a private S3 server, and ingests them three times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_minutes(parser)
    parser.add_argument("--folder", type=Path, help="xBD scenes, or an archive of them; by default made-up ones")
    parser.add_argument("--scenes", type=int, default=24, help="how many made-up scenes")
    parser.add_argument("--form", choices=("folder", "tar", "tar.gz"), default="folder", help="how they are held")
    parser.add_argument("--workers", type=int, default=IngestParams().workers, help="scenes read at once")
    options = parser.parse_args()
    log_to_stderr()
    budget = Budget("ingest", options.minutes)
    with local_storage() as store, tempfile.TemporaryDirectory(prefix="siamese-benchmark-") as scratch:

        def make() -> Path:
            source: Path = options.folder or Path(scratch) / "scenes"
            if options.folder is None:
                write_sample(source, SampleParams(scenes=options.scenes))
            return source if options.form == "folder" else _packed(source, Path(scratch) / f"scenes.{options.form}")

        source = budget.attempt("scenes", make)
        found = measure(store, source, IngestParams(workers=options.workers), budget) if source else {}
    print(budget.record({"cpus": os.cpu_count(), "form": options.form, "workers": options.workers} | found))


def measure(store: ObjectStore, source: Path, params: IngestParams, budget: Budget) -> dict[str, Any]:
    """Uploads and ingests, as far as time allows; ``unchanged_s`` and ``one_more_object_s`` are later ingests."""
    target = store.raw / "scenes"
    uploaded = budget.attempt("upload", lambda: _timed(lambda: upload(source, target, store)))
    if uploaded is None:
        return {}
    report, upload_s, _ = uploaded
    mb = report.bytes / 1e6
    found: dict[str, Any] = {"mb": mb, "uploaded_mb_per_s": mb / upload_s}
    ingested = budget.attempt("ingest", lambda: _timed(lambda: ingest(target, params, store)))
    if ingested is None:
        return found
    catalog, ingest_s, cpu_s = ingested
    scenes = catalog.accepted + catalog.unlabelled
    found |= {"scenes": scenes, "quarantined": catalog.quarantined}
    found |= {"ingested_scenes_per_s": scenes / ingest_s, "ingested_mb_per_s": mb / ingest_s}
    found |= {"cpu_ms_per_scene": 1000 * cpu_s / max(scenes, 1)}
    again = budget.attempt("ingest of what has not changed", lambda: _timed(lambda: ingest(target, params, store)))
    store.put(target / "README.md", b"one object more")
    more = budget.attempt("ingest after one more object", lambda: _timed(lambda: ingest(target, params, store)))
    found |= {name: one[1] for name, one in (("unchanged_s", again), ("one_more_object_s", more)) if one}
    return found | {"peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def _packed(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as packed:
        packed.add(folder, arcname=".")
    return archive


def _timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """Returns the result of the work, and its wall-clock and processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
