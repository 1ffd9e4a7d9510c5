"""How fast a pair is classified: seconds from PNG bytes to class raster, beside what this machine could do.

Compares the default network on this machine's best number format with the same network in plain float32, and gives
the share of the matmul peak that it reaches, all from one run.

    python benchmarks/inference.py [--side-px 1024] [--repeats 3] [--encoder NAME]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np


def main() -> None:
    """Prints one JSON line."""
    options = _options()
    from siamese.allocator import restart_with_allocator

    restart_with_allocator()
    import torch

    from siamese.model import Decision, Predictor, build_network, class_raster
    from siamese.model.precision import best_device, has_bf16
    from siamese.params import NetworkParams

    torch.manual_seed(0)
    device, params = best_device(), NetworkParams(encoder=options.encoder)
    network = build_network(params)
    predictor = Predictor(network, Decision(), device)
    files = _pair(options.side_px)
    images = [_decode(data) for data in files]
    prediction = predictor.predict(images[0], images[1])
    decision = Decision(building=float(np.quantile(prediction.building, 0.95)), damaged_building=1.0)

    def whole() -> None:
        class_raster(predictor.predict(_decode(files[0]), _decode(files[1])), decision)

    def plain() -> None:
        tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].float().to(device) / 255 for image in images]
        with torch.inference_mode():
            network(*tensors)

    whole_s = _median(whole, options.repeats)
    network_s = _median(lambda: predictor.predict(images[0], images[1]), options.repeats)
    gflop = _gflop(network, options.side_px, device)
    kind = torch.bfloat16 if has_bf16(device) else torch.float32
    peak = _matmul_gflops(kind, device)
    plain_s = _median(plain, options.repeats)
    record = {
        "benchmark": "inference",
        "encoder": options.encoder,
        "side_px": options.side_px,
        "format": str(kind).removeprefix("torch."),
        "device": device.type,
        "threads": os.cpu_count(),
        "pair_s": whole_s,
        "network_s": network_s,
        "decode_s": _median(lambda: [_decode(data) for data in files], options.repeats),
        "decision_s": _median(lambda: class_raster(prediction, decision), options.repeats),
        "gflop": gflop,
        "matmul_gflops": peak,
        "share_of_peak": gflop / network_s / peak,
        "float32_network_s": plain_s,
        "gain_over_float32": plain_s / network_s,
    }
    print(json.dumps({name: round(value, 4) if isinstance(value, float) else value for name, value in record.items()}))
    sys.stdout.flush()


def _pair(side: int) -> list[bytes]:
    """Two PNG of structured noise, about as hard to decode as imagery."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, side // 16, side // 16, 3), np.uint8)
    large = [cv2.resize(image, (side, side)) for image in coarse]
    noisy = [cv2.add(image, rng.integers(0, 24, image.shape, np.uint8)) for image in large]
    return [cv2.imencode(".png", image)[1].tobytes() for image in noisy]


def _decode(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


def _median(work: Callable[[], object], repeats: int) -> float:
    work()
    spent = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        spent.append(time.perf_counter() - started)
    return statistics.median(spent)


def _gflop(network: object, side: int, device: object) -> float:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    assert isinstance(network, torch.nn.Module)  # noqa: S101
    images = torch.zeros(2, 1, 3, side, side, device=device)  # type: ignore[call-overload]
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(images[0], images[1])
    return float(counter.get_total_flops()) / 1e9


def _matmul_gflops(kind: object, device: object, side: int = 2048) -> float:
    import torch

    left, right = torch.randn(2, side, side, device=device).to(kind)  # type: ignore[call-overload]
    torch.mm(left, right)
    spent = []
    for _ in range(8):
        started = time.perf_counter()
        torch.mm(left, right)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        spent.append(time.perf_counter() - started)
    return float(2 * side**3 / min(spent) / 1e9)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side-px", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--encoder", default="tf_efficientnet_lite0")
    return parser.parse_args()


if __name__ == "__main__":
    main()
