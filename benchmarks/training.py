"""How fast a network is trained: crops per second, the share of time spent waiting for the loader, peak memory.

Trains on synthetic scenes through the pipeline's own parts; the same steps again with the allocator's defaults; and
as many steps of a reference, so that every gain is a ratio from one run. The reference is this project's own network
as it is often built and trained: encoder ResNet-34, fusion by concatenation, nothing frozen, eager float32, the
allocator's defaults. It starts its own S3 server, unless `--pairs` names a pair set of the configured storage
(the usual AWS settings or `siamese up`).

    python benchmarks/training.py [--minutes 10] [--steps 12] [--scenes 6] [--crop-px 256] [--batch 16] [--encoder NAME]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from budget import Budget, add_minutes
from localstorage import local_storage

REFERENCE = "own Siamese U-Net, encoder resnet34, fusion concat, nothing frozen, eager fp32, default allocator"


@dataclass(frozen=True)
class Measured:
    """The measurements of one process."""

    crops_per_second: float
    step_s: float
    loader_wait_share: float
    peak_rss_mib: float
    loss_first: float
    loss_last: float


def main() -> None:
    """Prints one JSON line."""
    options = _options()
    from siamese.allocator import allocator_environment

    if options.measure:
        print(json.dumps(asdict(_measure(options))))
        return
    budget = Budget("training", options.minutes)
    plain = {name: value for name, value in os.environ.items() if name not in allocator_environment({})}
    tuned = plain | allocator_environment(plain)
    with _pairs(options, budget) as pairs:
        if pairs is None:
            print(budget.record({}))
            return
        fastest = budget.attempt("siamese", lambda: _run(tuned, pairs))
        reference = budget.attempt("reference", lambda: _run(plain, pairs, "--reference"))
        default = budget.attempt("siamese with the default allocator", lambda: _run(plain, pairs))
    record = {
        "encoder": options.encoder,
        "crop_px": options.crop_px,
        "batch": options.batch,
        "steps": options.steps,
        "threads": os.cpu_count(),
        "reference": REFERENCE,
        **(fastest or {}),
    }
    if fastest and default:
        record["allocator_gain"] = fastest["crops_per_second"] / default["crops_per_second"]
    if reference:
        record["reference_crops_per_second"] = reference["crops_per_second"]
        record["reference_peak_rss_mib"] = reference["peak_rss_mib"]
    if fastest and reference:
        record["times_the_reference"] = fastest["crops_per_second"] / reference["crops_per_second"]
        record["share_of_its_memory"] = fastest["peak_rss_mib"] / reference["peak_rss_mib"]
    print(budget.record(record))


def _run(allocator: dict[str, str], pairs: str, *more: str) -> dict[str, float]:
    words = [sys.executable, *sys.argv, "--measure", "--pairs", pairs, *more]
    storage = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    done = subprocess.run(words, env=allocator | storage, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


@contextmanager
def _pairs(options: argparse.Namespace, budget: Budget) -> Iterator[str | None]:
    """Returns the digest of a pair set: the named one, or one of synthetic scenes; None if there is no time for it."""
    if options.pairs:
        yield options.pairs
        return
    from siamese.ingest import ingest, upload
    from siamese.pairs import build_pairs
    from siamese.params import IngestParams, PairsParams, SampleParams
    from siamese.sample import write_sample

    with local_storage() as store, tempfile.TemporaryDirectory(prefix="siamese-benchmark-") as folder:

        def build() -> str:
            write_sample(Path(folder), SampleParams(scenes=options.scenes))
            upload(Path(folder), store.raw, store)
            return build_pairs(ingest(store.raw, IngestParams(), store), PairsParams(), store).digest

        yield budget.attempt("pairs of made-up scenes", build)


def _measure(options: argparse.Namespace) -> Measured:
    import torch

    from siamese.learning.fabric import alone
    from siamese.learning.learner import Learner
    from siamese.learning.loader import Loader
    from siamese.manifests import PairSet
    from siamese.model import build_network, load_imagenet
    from siamese.pairs import TRAINING_MEMORY, PairReader
    from siamese.params import NetworkParams, TrainingParams
    from siamese.progress import log_to_stderr, progress
    from siamese.store import ObjectStore
    from siamese.training.crops import CropSource
    from siamese.training.objective import DamageObjective

    log_to_stderr()
    store = ObjectStore()
    params = TrainingParams(batch=options.batch, crop_px=options.crop_px)
    shape = NetworkParams(encoder=options.encoder)
    if options.reference:
        params = params.model_copy(update={"precision": "fp32", "frozen_scales": 0})
        shape = NetworkParams(encoder="resnet34", fusion="concat", pretrained=False)
    pairs, cache = PairSet.load(store, options.pairs), store.settings.cache
    reader = PairReader(store, pairs, cache=cache, memory_limit=TRAINING_MEMORY)
    torch.manual_seed(0)
    network = build_network(shape)
    if shape.pretrained:
        load_imagenet(network.encoder)
    objective = DamageObjective(params)
    learner, losses = Learner(network, objective, alone(objective.recipe)), []
    watched = progress("training, steps", options.steps + 2)
    with watched as advance, Loader(CropSource(reader, params).batch, params.loader_threads) as loader:
        for step, batch in enumerate(loader.batches(0, options.steps + 2)):
            if step == 2:  # The first two allocate buffers and choose kernels.
                loader.waited_s, started = 0.0, time.perf_counter()
            losses.append(learner.step(batch, step / (options.steps + 2))["loss"])
            advance()
        spent, waited = time.perf_counter() - started, loader.waited_s
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    crops = options.steps * options.batch
    return Measured(crops / spent, spent / options.steps, waited / spent, peak, losses[0], losses[-1])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_minutes(parser)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--crop-px", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--encoder", default="tf_efficientnet_lite0")
    parser.add_argument("--pairs", help="digest of a pair set to use instead of made-up scenes")
    parser.add_argument("--reference", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
