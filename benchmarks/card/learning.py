"""Training on a card: agreement with the CPU, speed by number format and compilation, DDP, and float16."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch

from card.measuring import Figures, Scale, flop, forget_peak, peak_mib, report, seconds_each
from siamese.learning.fabric import alone, opened
from siamese.learning.learner import Learner
from siamese.model.network import SiameseUNet, build_network
from siamese.params import NetworkParams, TrainingParams
from siamese.training.crops import Batch
from siamese.training.objective import DamageObjective

DEFAULT = "tf_efficientnet_lite0"
_AGREED = 0.02
"""Losses of one step that differ by no more than this share count as equal."""


def made_batch(crops: int, side: int, seed: int = 0) -> Batch:
    """Makes random images with buildings of every damage class, brighter before than after."""
    draw = torch.Generator().manual_seed(seed)
    mask = torch.zeros(crops, side, side, dtype=torch.uint8)
    for crop in range(crops):
        for value in range(1, 5):
            row, col = torch.randint(0, side - side // 4, (2,), generator=draw).tolist()
            mask[crop, row : row + side // 5, col : col + side // 5] = value
    noise = torch.randint(0, 100, (2, crops, 3, side, side), generator=draw, dtype=torch.uint8)
    pre, post = noise[0] + 120 * (mask > 0)[:, None], noise[1] + 30 * mask[:, None]
    return Batch(pre.to(torch.uint8), post.to(torch.uint8), mask, torch.zeros(crops, dtype=torch.int64))


def seeded(encoder: str, **changes: object) -> SiameseUNet:
    """Builds a network with the random weights of seed 0."""
    torch.manual_seed(0)
    return build_network(NetworkParams.model_validate({"encoder": encoder, "pretrained": False, **changes}))


def objective(precision: str, batch: int) -> DamageObjective:
    """Returns the training objective of params.yaml, with nothing frozen."""
    return DamageObjective(TrainingParams.model_validate({"precision": precision, "batch": batch, "frozen_scales": 0}))


def agreement(scale: Scale, encoder: str) -> None:
    """Compares first steps in float32 on the CPU, on the card, and on the CPU from weights that differ by rounding."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    steps, batch, side = scale.of(50, 3), scale.of(8, 2), scale.of(128, 64)
    batches = [made_batch(batch, side, seed) for seed in range(4)]

    def curve(device: torch.device, nudge: float = 0.0) -> list[float]:
        # Dropout uses a different random generator on a card.
        network, aim = seeded(encoder, dropout=0.0), objective("fp32", batch)
        with torch.no_grad():
            for weight in network.parameters():
                weight.mul_(1 + nudge)
        learner = Learner(network, aim, alone(aim.recipe, device))
        return [learner.step(batches[step % 4], step / steps)["loss"] for step in range(steps)]

    def compared() -> Figures:
        cpu, card = curve(torch.device("cpu")), curve(scale.device)
        nudged = curve(torch.device("cpu"), nudge=1e-7)
        apart, rounding = ([abs(b / a - 1) for a, b in zip(cpu, other, strict=True)] for other in (card, nudged))
        return {
            "steps": steps,
            "agree": max(apart) < _AGREED,
            "largest_difference": max(apart),
            "largest_difference_first_10": max(apart[:10]),
            "largest_difference_by_rounding_alone": max(rounding),
            "loss_cpu": [round(loss, 5) for loss in cpu],
            "loss_card": [round(loss, 5) for loss in card],
        }

    report("fp32, first steps", compared)


def training(scale: Scale, encoder: str, peak: float) -> None:
    """Measures crops per second by number format, with and without compilation and CUDA graphs."""
    batch, side = scale.of(64, 2), scale.of(256, 64)
    crops = made_batch(batch, side)
    operations: dict[str, float] = {}

    def measured(precision: str, compiling: dict[str, Any] | None = None, *, resident: bool = False) -> Figures:
        forget_peak(scale.device)
        aim = objective(precision, batch)
        learner = Learner(seeded(encoder), aim, alone(aim.recipe, scale.device), compiling=compiling)
        given = Batch(*(tensor.to(scale.device) for tensor in crops)) if resident else crops
        if not operations:
            operations["step"] = flop(lambda: learner.step(given, 0.5))
        losses: list[float] = []
        step_s = seconds_each(lambda: losses.append(learner.step(given, 0.5)["loss"]), scale, most=scale.of(40, 3))
        return {
            "crops_per_second": batch / step_s,
            "step_ms": 1000 * step_s,
            "tflop_per_second": operations["step"] / step_s / 1e12,
            "share_of_bf16_peak": operations["step"] / step_s / peak if peak else None,
            "peak_memory_mib": peak_mib(scale.device),
            "loss_last": losses[-1],
        }

    eager = report("fp32 eager", lambda: measured("fp32"))

    def beside_eager(precision: str, compiling: dict[str, Any] | None = None, *, resident: bool = False) -> Figures:
        found = measured(precision, compiling, resident=resident)
        base = eager.get("crops_per_second")
        return found | ({"times_fp32_eager": found["crops_per_second"] / base} if base else {})

    report("bf16 eager", lambda: beside_eager("bf16"))
    report("bf16 eager, crops already on the card", lambda: beside_eager("bf16", resident=True))
    report("bf16 compiled", lambda: beside_eager("bf16", scale.compiling("default")))
    report("bf16 compiled, CUDA graphs", lambda: beside_eager("bf16", scale.compiling("reduce-overhead")))


def ddp(scale: Scale, encoder: str) -> None:
    """Compares the same steps in a group of one process and without a group: NCCL on a card, gloo on a CPU."""
    batch, side, steps = scale.of(64, 2), scale.of(256, 64), scale.of(10, 2)
    crops = made_batch(batch, side)

    def grouped() -> Figures:
        found: dict[bool, tuple[list[float], float]] = {}
        for group in (False, True):
            aim = objective("fp32", batch)
            with opened(aim.recipe, device=scale.device, group=group) as fabric:
                learner = Learner(seeded(encoder, dropout=0.0), aim, fabric)
                losses = [learner.step(crops, 0.5)["loss"] for _ in range(steps)]
                spent = seconds_each(partial(learner.step, crops, 0.5), scale, most=scale.of(10, 2))
                found[group] = losses, spent
                backend = torch.distributed.get_backend() if group else ""
        (plain, plain_s), (distributed, distributed_s) = found[False], found[True]
        apart = max(abs(b / a - 1) for a, b in zip(plain, distributed, strict=True))
        return {
            "backend": backend,
            "agree": apart < _AGREED,
            "largest_difference": apart,
            "crops_per_second": batch / distributed_s,
            "share_of_speed_without": plain_s / distributed_s,
        }

    report("one process", grouped)


def half(scale: Scale, encoder: str) -> None:
    """Checks whether float16 with scaled gradients learns, and how fast."""
    batch, side, steps = scale.of(64, 2), scale.of(256, 64), scale.of(30, 2)
    crops = made_batch(batch, side)

    def learned() -> Figures:
        forget_peak(scale.device)
        aim = objective("fp16", batch)
        learner = Learner(seeded(encoder), aim, alone(aim.recipe, scale.device))
        losses = [learner.step(crops, step / steps)["loss"] for step in range(steps)]
        step_s = seconds_each(lambda: learner.step(crops, 0.9), scale, most=20)
        return {
            "crops_per_second": batch / step_s,
            "loss_first": losses[0],
            "loss_last": losses[-1],
            "finite": all(map(math.isfinite, losses)),
            "scale": float(learner.precision.scaler.get_scale()),
            "peak_memory_mib": peak_mib(scale.device),
        }

    report("fp16 eager", learned)
