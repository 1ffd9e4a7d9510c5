"""How fast a pair is classified, from PNG bytes to class raster, compared with the machine's peak and a reference.

Each contender runs in its own process; a round asks each for one pair in turn, so that other load on the machine
affects all of them, and the median over rounds counts. Processor seconds (of all threads) are the cost of a pair
whatever else runs. The reference is a common way to build and run such a network, with the memory allocator's
defaults (benchmarks/speed/contenders.py). Weights are random, since nothing here depends on them.

With --minutes, contenders that start too late or too slowly are left out, and as many rounds are run as fit.

    python benchmarks/inference.py [--minutes 10] [--side-px 1024] [--rounds 7] [--encoder NAME] [--beside NAME …]
"""

from __future__ import annotations

import argparse
import os
import statistics
from contextlib import ExitStack
from functools import partial
from typing import Any

from budget import WITHIN, Budget, add_minutes
from speed.contenders import ALONE, CONTENDERS, OURS, REFERENCE, REFERENCE_TOLD, Contender, shape
from speed.machine import matmul_gflops
from speed.worker import Worker, serve

JOBS = ("network", "decode", "decide", "empty")
Round = dict[str, float]
STARTS = 0.5
"""Share of the time after which no further contender is started."""
_MAIN = {OURS, REFERENCE}
_PAIR = ("pair_s", "pair_processor_s")


def main() -> None:
    """Prints one JSON line."""
    options = _options()
    if options.worker:
        serve(CONTENDERS[options.worker], options.encoder, options.side_px)
        return
    budget = Budget("inference", options.minutes)
    with ExitStack() as stack:
        workers = _started(options, budget, stack)
        rounds = _rounds(workers, options.rounds, budget)
        record = _record(options, workers, rounds)
    print(budget.record(record))


def _started(options: argparse.Namespace, budget: Budget, stack: ExitStack) -> list[Worker]:
    def start(contender: Contender) -> Worker:
        worker = stack.enter_context(Worker(contender, options.encoder, options.side_px))
        worker.wait_until_ready()
        return worker

    found = []
    for contender in (OURS, REFERENCE, *_beside(options, budget)):
        share = WITHIN if contender in _MAIN else STARTS
        worker = budget.attempt(f"start of {contender.name}", partial(start, contender), within=share)
        found += [worker] if worker else []
    return found


def _beside(options: argparse.Namespace, budget: Budget) -> list[Contender]:
    """Returns the other contenders asked for; by default all whose number formats this machine does not emulate."""
    from siamese.model.precision import best_device, has_bf16

    if options.beside is not None:
        return [CONTENDERS[name] for name in options.beside]
    emulated = [one for one in ALONE if "bf16" in one.runner and not has_bf16(best_device())]
    budget.left_out += [f"{one.name}, which this machine emulates" for one in emulated]
    return [one for one in ALONE if one not in emulated]


def _rounds(workers: list[Worker], count: int, budget: Budget) -> list[Round]:
    """Runs as many rounds as asked for or as fit; the warm-up counts only if no round is complete."""
    warm, costs = Round(), dict[Worker, float]()
    for worker in workers:
        seen = budget.attempt(f"warm-up of {worker.contender.name}", partial(_ask, worker))
        if seen:
            warm |= seen
            costs[worker] = sum(seconds for name, seconds in seen.items() if not name.endswith("processor_s"))
    found: list[Round] = []
    for number in range(1, count + 1):
        while sum(costs.values()) > budget.left_s and (others := [one for one in costs if one.contender not in _MAIN]):
            slowest = max(others, key=costs.__getitem__)
            budget.left_out.append(f"{slowest.contender.name} from round {number} on")
            del costs[slowest]
        one = budget.attempt(f"round {number} of {count}", partial(_round, list(costs)))
        if one is None:
            break
        found.append(one)
    return found or ([warm | _peaks()] if warm else [])


def _round(workers: list[Worker]) -> Round:
    seen = Round()
    for worker in workers:
        seen |= _ask(worker)
    return seen | _peaks()


def _ask(worker: Worker) -> Round:
    seen = Round()
    for job in ("pair", *JOBS) if worker.contender in _MAIN else ("pair", "network"):
        name = f"{worker.contender.name}_{job}"
        seen[f"{name}_s"], seen[f"{name}_processor_s"] = worker.do(job)
    return seen


def _peaks() -> Round:
    seen = Round()
    for kind in ("bf16", "fp32"):
        seen[f"matmul_{kind}_gflops"], seen[f"matmul_{kind}_gflops_a_processor"] = matmul_gflops(kind)
    return seen


def _record(options: argparse.Namespace, workers: list[Worker], rounds: list[Round]) -> dict[str, Any]:
    record: dict[str, Any] = {
        "encoder": options.encoder,
        "side_px": options.side_px,
        "rounds": len(rounds),
        "threads": os.cpu_count(),
        "reference": REFERENCE_TOLD,
    }
    if rounds:
        record |= _gflop(options)
        record |= {name: max(_seen(name, rounds)) for name in rounds[-1] if name.startswith("matmul")}
    for worker in workers:
        name = worker.contender.name
        if not _seen(f"{name}_pair_s", rounds):
            continue
        record |= {f"{name}_{figure}": statistics.median(_seen(f"{name}_{figure}", rounds)) for figure in _PAIR}
        record |= {f"{name}_{figure}": worker.about[figure] for figure in ("start_s", "start_processor_s")}
        record |= {f"{name}_peak_rss_mib": worker.peak_rss_mib()}
    if f"{OURS.name}_pair_s" in record:
        record |= _ours(options, workers[0].about["runner"], record, rounds)
    if {"openvino_bf16_pair_s", "torch_bf16_pair_s"} <= record.keys():
        record["break_even_pairs"] = _break_even(record)
    return record


def _gflop(options: argparse.Namespace) -> dict[str, float]:
    from siamese.model import build_network
    from siamese.model.cost import pair_gflop

    ours, reference = (
        pair_gflop(build_network(shape(one, options.encoder)), options.side_px) for one in (OURS, REFERENCE)
    )
    return {"gflop": ours, "reference_gflop": reference}


def _ours(options: argparse.Namespace, runner: str, record: dict[str, Any], rounds: list[Round]) -> dict[str, Any]:
    """Returns the cost of a pair, part by part, compared with the machine's peak and the reference."""
    found: dict[str, Any] = {"runner": runner}
    for job in JOBS:
        for unit in ("s", "processor_s"):
            found[f"{job}_{unit}"] = statistics.median(_seen(f"{OURS.name}_{job}_{unit}", rounds))
    peak = record[f"matmul_{'bf16' if 'bf16' in runner else 'fp32'}_gflops_a_processor"]
    found["share_of_peak"] = record["gflop"] / found["network_processor_s"] / peak
    kept = 1 - _ratio("siamese_empty_processor_s", "siamese_pair_processor_s", rounds)
    found["early_exit_saves"] = options.empty_share * kept
    if f"{REFERENCE.name}_pair_s" in record:
        found["times_the_reference"] = _ratio("reference_pair_s", "siamese_pair_s", rounds)
        ratio = _ratio("reference_pair_processor_s", "siamese_pair_processor_s", rounds)
        found["times_the_reference_in_processor_time"] = ratio
    pairs = _seen("siamese_pair_s", rounds)
    return found | {"noise": max(pairs) / min(pairs)}


def _seen(name: str, rounds: list[Round]) -> list[float]:
    return [one[name] for one in rounds if name in one]


def _ratio(over: str, under: str, rounds: list[Round]) -> float:
    return statistics.median(one[over] / one[under] for one in rounds if {over, under} <= one.keys())


def _break_even(record: dict[str, Any]) -> float | None:
    """Returns the pairs after which OpenVINO makes up, in processor time, for its longer start; None: never."""
    later = record["openvino_bf16_start_processor_s"] - record["torch_bf16_start_processor_s"]
    gain = record["torch_bf16_pair_processor_s"] - record["openvino_bf16_pair_processor_s"]
    return later / gain if gain > 0 else None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side-px", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--encoder", default="tf_efficientnet_lite0")
    parser.add_argument("--empty-share", type=float, default=0.38, help="of pairs that show no building; xBD's")
    add_minutes(parser)
    names = [one.name for one in ALONE]
    parser.add_argument("--beside", nargs="*", choices=names, help="which others to measure, by default all")
    parser.add_argument("--worker", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
