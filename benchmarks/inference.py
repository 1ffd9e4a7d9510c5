"""How fast a pair is classified, from PNG bytes to class raster, beside what this machine could do and a reference.

Each contender runs in a process of its own; a round asks each for one pair in turn, so that other load on the machine
meets all of them, and what counts is the median over rounds. Processor seconds (of all threads) say what a pair costs
whatever else runs. The reference is a common way to build and run such a network, with the memory allocator's
defaults (benchmarks/speed/contenders.py). Weights are random: nothing here depends on them.

    python benchmarks/inference.py [--side-px 1024] [--rounds 7] [--encoder NAME] [--empty-share 0.38]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from contextlib import ExitStack
from typing import Any

from speed.contenders import ALONE, CONTENDERS, OURS, REFERENCE, REFERENCE_TOLD, shape
from speed.machine import matmul_gflops
from speed.worker import Worker, serve

JOBS = ("network", "decode", "decide", "empty")


def main() -> None:
    """Prints one JSON line."""
    options = _options()
    if options.worker:
        serve(CONTENDERS[options.worker], options.encoder, options.side_px)
        return
    contenders = [CONTENDERS[name] for name in (OURS.name, REFERENCE.name, *options.beside)]
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(one, options.encoder, options.side_px)) for one in contenders]
        rounds = [_round(workers) for _ in range(options.rounds + 1)][1:]
        record = _record(options, workers, rounds)
    print(json.dumps({name: round(value, 4) if isinstance(value, float) else value for name, value in record.items()}))


def _round(workers: list[Worker]) -> dict[str, float]:
    seen: dict[str, float] = {}
    for worker in workers:
        jobs = ("pair", *JOBS) if worker.contender in {OURS, REFERENCE} else ("pair", "network")
        for job in jobs:
            name = f"{worker.contender.name}_{job}"
            seen[f"{name}_s"], seen[f"{name}_processor_s"] = worker.do(job)
    for kind in ("bf16", "fp32"):
        seen[f"matmul_{kind}_gflops"], seen[f"matmul_{kind}_gflops_a_processor"] = matmul_gflops(kind)
    return seen


def _record(options: argparse.Namespace, workers: list[Worker], rounds: list[dict[str, float]]) -> dict[str, Any]:
    from siamese.model import build_network
    from siamese.model.cost import pair_gflop

    def median(name: str) -> float:
        return statistics.median(one[name] for one in rounds)

    def ratio(over: str, under: str) -> float:
        return statistics.median(one[over] / one[under] for one in rounds)

    gflop, reference_gflop = (
        pair_gflop(build_network(shape(one, options.encoder)), options.side_px) for one in (OURS, REFERENCE)
    )
    kind = "bf16" if "bf16" in workers[0].about["runner"] else "fp32"
    record: dict[str, Any] = {
        "benchmark": "inference",
        "encoder": options.encoder,
        "side_px": options.side_px,
        "rounds": options.rounds,
        "threads": os.cpu_count(),
        "runner": workers[0].about["runner"],
        "gflop": gflop,
        "reference": REFERENCE_TOLD,
        "reference_gflop": reference_gflop,
        "times_the_reference": ratio("reference_pair_s", "siamese_pair_s"),
        "times_the_reference_in_processor_time": ratio("reference_pair_processor_s", "siamese_pair_processor_s"),
    }
    for worker in workers:
        name = worker.contender.name
        record |= {f"{name}_pair_s": median(f"{name}_pair_s")}
        record |= {f"{name}_pair_processor_s": median(f"{name}_pair_processor_s")}
        record |= {f"{name}_start_s": worker.about["start_s"]}
        record |= {f"{name}_start_processor_s": worker.about["start_processor_s"]}
        record |= {f"{name}_peak_rss_mib": worker.peak_rss_mib()}
    record |= {f"{job}_s": median(f"siamese_{job}_s") for job in JOBS}
    record |= {f"{job}_processor_s": median(f"siamese_{job}_processor_s") for job in JOBS}
    for one in ("bf16", "fp32"):
        names = f"matmul_{one}_gflops", f"matmul_{one}_gflops_a_processor"
        record |= {name: max(seen[name] for seen in rounds) for name in names}
    peak = record[f"matmul_{kind}_gflops_a_processor"]
    record["share_of_peak"] = gflop / record["network_processor_s"] / peak
    kept = 1 - ratio("siamese_empty_processor_s", "siamese_pair_processor_s")
    record["early_exit_saves"] = options.empty_share * kept
    if {"openvino_bf16", "torch_bf16"} <= {worker.contender.name for worker in workers}:
        record["break_even_pairs"] = _break_even(record)
    quickest, widest = min(one["siamese_pair_s"] for one in rounds), max(one["siamese_pair_s"] for one in rounds)
    record["noise"] = widest / quickest
    return record


def _break_even(record: dict[str, Any]) -> float | None:
    """Pairs after which OpenVINO has won back, in processor time, what it takes longer to start; None: never."""
    later = record["openvino_bf16_start_processor_s"] - record["torch_bf16_start_processor_s"]
    gain = record["torch_bf16_pair_processor_s"] - record["openvino_bf16_pair_processor_s"]
    return later / gain if gain > 0 else None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side-px", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--encoder", default="tf_efficientnet_lite0")
    parser.add_argument("--empty-share", type=float, default=0.38, help="of pairs that show no building; xBD's")
    names = [one.name for one in ALONE]
    parser.add_argument("--beside", nargs="*", choices=names, default=names, help="which others to measure")
    parser.add_argument("--worker", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
