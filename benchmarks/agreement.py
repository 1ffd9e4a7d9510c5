"""How much each backend changes the predictions of a trained network, compared with PyTorch in float32.

Predicts every scene of one split of a pair set and prints one JSON line: for each backend its official score, the
share of pixels (building for it or for PyTorch) that get another class, the share of PyTorch's buildings most of whose
pixels do, and how far probabilities differ on pixels that may be building. A building changes class as a whole where
its vote is nearly tied, so an uncertain network shows more changes than a confident one. A model made by
`siamese quantize` adds its 8-bit integers.

    python benchmarks/agreement.py [--minutes 10] [--model latest] [--pairs latest] [--split test]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from budget import Budget, add_minutes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from siamese.evaluation.truth import SceneTask, SceneTruth
    from siamese.model import Probabilities, SiameseUNet
    from siamese.model.backends import Backend, Graph
    from siamese.model.decision import Decision

BASE = "torch fp32"


def main() -> None:
    """Prints one JSON line."""
    from siamese.allocator import restart_with_allocator

    options = _options()
    restart_with_allocator()
    budget = Budget("agreement", options.minutes)
    from siamese.errors import SiameseError
    from siamese.progress import log_to_stderr
    from siamese.store import open_context

    open_context().export()
    log_to_stderr()
    try:
        print(budget.record(_run(options, budget)))
    except SiameseError as error:
        sys.exit(f"agreement: {error}")


def _run(options: argparse.Namespace, budget: Budget) -> dict[str, Any]:
    from siamese.evaluation.pairset import split_tasks
    from siamese.manifests import PairSet
    from siamese.model.weights import load_graphs, load_network
    from siamese.registry import resolve_model
    from siamese.store import ObjectStore

    store = ObjectStore()
    checkpoint = resolve_model(options.model, store)
    network, config = load_network(store, checkpoint)
    tasks = split_tasks(PairSet.resolve(store, options.pairs), options.split, store)
    backends = dict(_backends(network, load_graphs(store, checkpoint)))
    tallies = {name: _Tally() for name in backends}

    def ask_all(task: SceneTask) -> tuple[SceneTruth, dict[str, Probabilities]]:
        truth = task.load()
        return truth, {name: _ask(backend, truth) for name, backend in backends.items()}

    done = 0
    for task in tasks:
        asked = budget.attempt(task.scene, partial(ask_all, task))
        if asked is None:
            continue
        truth, answers = asked
        for name, answer in answers.items():
            tallies[name].add(truth, answers[BASE], answer, config.decision)
        done += 1
    about = {"model": checkpoint.digest, "split": options.split, "scenes": done}
    return about | {"backends": {name: tally.told() for name, tally in tallies.items()} if done else {}}


def _backends(network: SiameseUNet, graphs: Sequence[Graph]) -> Iterator[tuple[str, Backend]]:
    import torch

    from siamese.model.backends import OpenVinoBackend, TorchBackend

    cpu = torch.device("cpu")
    yield BASE, TorchBackend(network, cpu, torch.float32)
    yield "torch bf16", TorchBackend(network, cpu, torch.bfloat16)
    yield "openvino fp32", OpenVinoBackend(network, bf16=False)
    yield "openvino bf16", OpenVinoBackend(network, bf16=True)
    if graphs:
        yield "openvino int8", OpenVinoBackend(network, graphs=graphs)


def _ask(backend: Backend, truth: SceneTruth) -> Probabilities:
    from siamese.classes import disaster_number
    from siamese.model import Probabilities

    answer = backend.ask(truth.pre, truth.post, disaster_number(truth.disaster_type))
    return Probabilities(answer.building, answer.damage())


@dataclass
class _Tally:
    """The predictions of one backend, compared with the baseline."""

    counts: list[Any] = field(default_factory=list)
    pixels: int = 0
    pixels_changed: int = 0
    buildings: int = 0
    buildings_changed: int = 0
    building_apart: list[npt.NDArray[np.float32]] = field(default_factory=list)
    damage_apart: list[npt.NDArray[np.float32]] = field(default_factory=list)

    def add(self, truth: SceneTruth, base: Probabilities, said: Probabilities, decision: Decision) -> None:
        """Counts one scene."""
        from siamese.metrics import Buildings, count_scene
        from siamese.model import class_raster, decide

        decided, ours = decide(base, decision), class_raster(said, decision)
        theirs = decided.classes
        self.counts.append(count_scene(ours, ours, truth.localization, truth.damage))
        changed = ours != theirs
        self.pixels += int(np.count_nonzero(ours | theirs))
        self.pixels_changed += int(np.count_nonzero(changed))
        found = Buildings.numbered(decided.buildings, theirs)
        sizes = np.bincount(found.ids.ravel())[1:]
        self.buildings += len(sizes)
        moved = np.bincount(found.ids[changed], minlength=1 + len(sizes))[1:]
        self.buildings_changed += int(np.count_nonzero(2 * moved > sizes))
        perhaps = base.building > 0.1
        self.building_apart.append(np.abs(base.building - said.building)[perhaps])
        self.damage_apart.append(np.abs(base.damage - said.damage)[:, perhaps].max(0))

    def told(self) -> dict[str, float]:
        """Returns the figures."""
        from siamese.metrics import Counts

        found = {
            "score": sum(self.counts, Counts()).scores().score,
            "pixels_changed": self.pixels_changed / max(1, self.pixels),
            "buildings_changed": self.buildings_changed / max(1, self.buildings),
        }
        for name, parts in (("building", self.building_apart), ("damage", self.damage_apart)):
            apart = np.concatenate(parts)
            found |= {f"{name}_apart": float(apart.mean()), f"{name}_apart_p99": float(np.quantile(apart, 0.99))}
        return {name: round(value, 5) for name, value in found.items()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_minutes(parser)
    parser.add_argument("--model", default="latest", help="as `siamese evaluate` takes it")
    parser.add_argument("--pairs", default="latest", help="as `siamese evaluate` takes it")
    parser.add_argument("--split", default="test", choices=("train", "val", "test"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
