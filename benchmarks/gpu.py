"""Measures this project on one GPU: agreement with the CPU, training and prediction speed, memory, DDP, loading.

Needs this checkout, torch >= 2.11 and the packages that `--requirements` lists; no network, no servers, no data:
tensors are random and weights seeded. Every part runs in its own process with its own time limit, so that one
that fails or takes too long does not affect the others. Progress goes to stderr, one JSON document to stdout.
Exit code 2: there is no GPU.

    python benchmarks/gpu.py [--minutes 7.5] [--only PART]
    python benchmarks/gpu.py --device cpu --quick      # tries the script itself where there is no GPU
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from card.measuring import Scale

REQUIREMENTS = (
    "torch>=2.11", "torchvision", "numpy>=2", "timm>=1.0.31", "safetensors", "huggingface-hub", "pyyaml",
    "pydantic>=2.10", "pydantic-settings", "python-dotenv", "opencv-python-headless>=4.11", "rich",
    "lightning-fabric>=2.6", "lightning-utilities",
)  # fmt: skip
"""Together with their dependencies, which ``pip download`` resolves."""
NO_GPU = 2
ENCODERS = ("tf_efficientnet_lite0", "resnet50", "vit_small_patch16_224")
TINY = ("test_efficientnet", "test_resnet", "test_vit")


@dataclass(frozen=True)
class Part:
    """One thing to measure.

    Attributes:
        name: Its name in the result.
        encoder: Index into :data:`ENCODERS`.
        share: Maximum share of the requested time.
    """

    name: str
    encoder: int
    share: float


PARTS = (
    Part("peak", 0, 0.1),
    Part("agreement", 0, 0.2),
    Part("training", 0, 0.35),
    Part("loading", 0, 0.1),
    Part("ddp", 0, 0.1),
    Part("fp16", 0, 0.1),
    Part("inference", 0, 0.25),
    Part("training", 1, 0.3),
    Part("training", 2, 0.3),
    Part("inference", 1, 0.15),
    Part("inference", 2, 0.15),
)


def main() -> int:
    """Prints one JSON document; returns the exit code."""
    options = _options()
    if options.requirements:
        print("\n".join(REQUIREMENTS))
        return 0
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
    if options.part:
        _measure(options)
        return 0
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        print("gpu: no GPU: torch.cuda.is_available() is false; --device cpu --quick tries the script", file=sys.stderr)
        print(json.dumps({"benchmark": "gpu", "error": "no GPU", "torch": torch.__version__}))
        return NO_GPU
    record = {"benchmark": "gpu", **_machine(options.device), "quick": options.quick, "minutes": options.minutes}
    print(json.dumps(record | {"parts": _parts(options)}, indent=1))
    return 0


def _parts(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the figures of every part, one process each, until the time is used up."""
    whole = 60 * options.minutes
    deadline, peak = time.monotonic() + whole, 0.0
    found: dict[str, Any] = {}
    for part in PARTS:
        encoder = (TINY if options.quick else ENCODERS)[part.encoder]
        label = f"{part.name}, {encoder}" if part.name in {"training", "inference"} else part.name
        if options.only and part.name not in options.only and part.name != "peak":
            continue
        left = deadline - time.monotonic()
        if left < min(10, whole / 10):
            found[label] = {"ended": "not begun: the time is used up"}
            continue
        found[label] = _run(part.name, encoder, peak, min(left, part.share * whole), options)
        if part.name == "peak":
            peak = max((row.get("bf16_tflop_per_second", 0.0) for row in found[label]["rows"]), default=0.0) * 1e12
    return found


def _run(name: str, encoder: str, peak: float, limit_s: float, options: argparse.Namespace) -> dict[str, Any]:
    """Runs a part and collects its rows; rows already reported count even if it then fails or is stopped."""
    words = [sys.executable, __file__, "--part", name, "--encoder", encoder, "--peak", str(peak)]
    words += ["--device", options.device, *(["--quick"] if options.quick else [])]
    print(f"gpu: {name}, {encoder}: at most {limit_s:.0f} s", file=sys.stderr, flush=True)
    began, rows = time.monotonic(), []
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    messages: list[str] = []
    reader = threading.Thread(target=lambda: messages.extend(process.stderr or ()), daemon=True)
    reader.start()
    ended = threading.Event()

    def end() -> None:
        ended.set()
        process.kill()

    killer = threading.Timer(limit_s, end)
    killer.start()
    for line in process.stdout:
        if line.startswith("{"):
            rows.append(json.loads(line))
            print(f"gpu:   {line.strip()[:200]}", file=sys.stderr, flush=True)
    code = process.wait()
    killer.cancel()
    reader.join(5)
    how = "done" if code == 0 else f"failed with exit code {code}: {''.join(messages[-3:]).strip()[-400:]}"
    return {
        "ended": "out of time" if ended.is_set() else how,
        "seconds": round(time.monotonic() - began, 1),
        "rows": rows,
    }


def _peak(scale: Scale, name: str, kind: torch.dtype) -> dict[str, float]:
    from card.measuring import matmul_peak

    return {f"{name}_tflop_per_second": matmul_peak(scale, kind) / 1e12}


def _measure(options: argparse.Namespace) -> None:
    """Runs one part in this process."""
    import torch
    from card import inference, learning, loading
    from card.measuring import Scale, report

    scale = Scale(torch.device(options.device), options.quick)
    if options.quick:
        torch.set_num_threads(1)
    encoder, peak = options.encoder, options.peak
    match options.part:
        case "peak":
            kinds = {"bf16": torch.bfloat16, "fp32": torch.float32}
            for name, kind in kinds.items():
                report(f"matrix product, {name}", partial(_peak, scale, name, kind))
        case "agreement":
            learning.agreement(scale, encoder)
        case "training":
            learning.training(scale, encoder, peak)
        case "loading":
            loading.loading(scale, encoder)
        case "ddp":
            learning.ddp(scale, encoder)
        case "fp16":
            learning.half(scale, encoder)
        case "inference":
            inference.inference(scale, encoder, peak)


def _machine(device: str) -> dict[str, Any]:
    import torch

    found = {"torch": torch.__version__, "python": sys.version.split()[0], "cores": os.cpu_count()}
    if device != "cuda":
        return {"device": "cpu", **found}
    card = torch.cuda.get_device_properties(0)
    return {
        "device": card.name,
        "memory_gib": round(card.total_memory / 2**30, 1),
        "capability": f"{card.major}.{card.minor}",
        "cuda": torch.version.cuda,
        **found,
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=7.5, help="end within this time")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: tries the script, measures nothing")
    names = sorted({part.name for part in PARTS})
    parser.add_argument("--only", action="append", choices=names, help="only this part; repeat for more")
    parser.add_argument("--requirements", action="store_true", help="list the packages that it needs")
    parser.add_argument("--part", choices=names, help=argparse.SUPPRESS)
    parser.add_argument("--encoder", default=ENCODERS[0], help=argparse.SUPPRESS)
    parser.add_argument("--peak", type=float, default=0.0, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
