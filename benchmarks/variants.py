"""The cost of each variant of the network: parameters, operations, time for a pair, time for a training step.

Every variant is a few overrides of params.yaml, the ones described in docs/network.md. Weights are random: cost does
not depend on them. Times are medians of one run on this machine; compare them with each other, not with other runs.

    python benchmarks/variants.py [--minutes 10] [--only NAME] [--side-px 1024] [--markdown]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from budget import Budget, add_minutes

if TYPE_CHECKING:
    from siamese.model import SiameseUNet
    from siamese.params import NetworkParams, TrainingParams

_FOUR_SCALES = ["network.decoder_channels=[128, 64, 48]", "network.localization_channels=[96, 64, 32]"]
VARIANTS: dict[str, list[str]] = {
    "default": [],
    "pseudo-Siamese": ["network.relation=pseudo"],
    "asymmetric: ResNet-34 on one SAR band": [
        "network.relation=asymmetric", "network.post_encoder=resnet34", "network.post_bands=1",
    ],
    "fusion difference": ["network.fusion=difference"],
    "fusion concat": ["network.fusion=concat"],
    "fusion attention": ["network.fusion=attention"],
    "localization in the fused dates": ["network.localization=fused"],
    "joint head": ["network.localization=fused", "network.heads=joint", "network.damage=nominal"],
    "nominal damage": ["network.damage=nominal"],
    "no disaster type": ["network.disaster_film=false"],
    "no attention gates": ["network.attention_gates=false"],
    "no deep supervision": ["network.deep_supervision=false"],
    "encoder plain": ["network.encoder=plain", *_FOUR_SCALES],
    "encoder resnet34": ["network.encoder=resnet34"],
    "encoder resnet50": ["network.encoder=resnet50"],
    "encoder resnet101": ["network.encoder=resnet101"],
    "encoder vgg16": ["network.encoder=vgg16"],
    "encoder convnext_tiny": ["network.encoder=convnext_tiny", *_FOUR_SCALES],
    "encoder efficientnet_b0": ["network.encoder=efficientnet_b0"],
    "encoder vit_small_patch16_224.dino": ["network.encoder=vit_small_patch16_224.dino", *_FOUR_SCALES],
}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """The cost of a variant."""

    variant: str
    overrides: list[str]
    parameters_m: float
    gflop: float
    """For a pair, counting multiplications and additions separately."""
    pair_s: float
    """One pair through the network, in this machine's number format."""
    step_s: float
    """One training step of two crops of half the side."""


def main() -> None:
    """Prints one JSON line, or Markdown."""
    options = _options()
    from siamese.allocator import restart_with_allocator

    restart_with_allocator()
    budget = Budget("variants", options.minutes)
    tried = [
        budget.attempt(name, partial(measure, name, VARIANTS[name], options.side_px))
        for name in options.only or VARIANTS
    ]
    costs = [cost for cost in tried if cost is not None]
    if options.markdown:
        print("| variant | params.yaml | parameters, M | GFLOP a pair | s a pair | s a training step |")
        print("|---|---|---|---|---|---|")
        for one in costs:
            told = " ".join(f"`{override}`" for override in one.overrides) or "as it is"
            figures = f"{one.parameters_m:.1f} | {one.gflop:.0f} | {one.pair_s:.2f} | {one.step_s:.2f}"
            print(f"| {one.variant} | {told} | {figures} |")
        return
    print(budget.record({"side_px": options.side_px, "variants": [asdict(one) for one in costs]}))


def measure(name: str, overrides: list[str], side: int) -> Cost:
    """Builds a variant and measures it."""
    import torch

    from siamese.model import build_network
    from siamese.model.precision import autocast, best_device
    from siamese.params import load_params

    params = load_params(overrides=["network.pretrained=false", *overrides])
    torch.manual_seed(0)
    device = best_device()
    network = build_network(params.network).eval().to(device).to(memory_format=torch.channels_last)
    pre, post = (torch.rand(1, bands, side, side, device=device) for bands in params.network.input_bands)

    def predict() -> None:
        with torch.inference_mode(), autocast(device):
            network(pre, post)

    return Cost(
        variant=name,
        overrides=overrides,
        parameters_m=sum(parameter.numel() for parameter in network.parameters()) / 1e6,
        gflop=_gflop(lambda: network(pre, post)),
        pair_s=_median(predict),
        step_s=_median(_step(network, params.network, params.training, side // 2)),
    )


def _step(network: SiameseUNet, params: NetworkParams, training: TrainingParams, side: int) -> Callable[[], None]:
    import torch

    from siamese.learning.fabric import alone
    from siamese.learning.learner import Learner
    from siamese.training.crops import Batch
    from siamese.training.objective import DamageObjective

    objective = DamageObjective(training.model_copy(update={"frozen_scales": 0}))
    learner = Learner(network, objective, alone(objective.recipe))
    pre, post = (torch.randint(0, 256, (2, bands, side, side), dtype=torch.uint8) for bands in params.input_bands)
    mask = torch.zeros(2, side, side, dtype=torch.uint8)
    for number in range(1, 5):
        mask[:, number * 40 : number * 40 + 24] = number
    batch = Batch(pre, post, mask, torch.zeros(2, dtype=torch.long))
    return lambda: _none(learner.step(batch, 0.5))


def _none(_: object) -> None:
    return None


def _gflop(work: Callable[[], object]) -> float:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        work()
    return float(counter.get_total_flops()) / 1e9


def _median(work: Callable[[], None], repeats: int = 3) -> float:
    work()
    spent = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        spent.append(time.perf_counter() - started)
    return statistics.median(spent)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_minutes(parser)
    parser.add_argument("--only", action="append", choices=VARIANTS, help="only this variant; repeat for more")
    parser.add_argument("--side-px", type=int, default=1024)
    parser.add_argument("--markdown", action="store_true", help="rows for docs/experiments.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
