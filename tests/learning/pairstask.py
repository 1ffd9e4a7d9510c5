"""A third kind of learning, as small as can be: embeddings of images, alike where labels are alike."""

# ruff: noqa: D102 (what each method is for stands in the engine)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from siamese.learning.objective import Objective, Scored
from siamese.learning.recipe import Recipe
from siamese.learning.states import Progress
from siamese.learning.task import Beat, Judgement, Published, Task
from siamese.manifests import Checkpoint
from siamese.model.weights import serialize
from siamese.params.section import HOW_ONLY, Section
from siamese.store import ObjectStore, Origin, Stage, put_blob

Pairs = tuple[Tensor, Tensor]


class PairsParams(Section):
    """How the embedding learns."""

    epochs: int = 3
    seed: int = 1
    batch: int = 8
    accumulate: int = 1
    warmup_share: float = 0.1
    clip_norm: float = 1e9
    checkpoint_seconds: float = Field(1e9, json_schema_extra=HOW_ONLY)
    loader_threads: int = Field(1, json_schema_extra=HOW_ONLY)
    processes: int = Field(1, json_schema_extra=HOW_ONLY)
    keep: str = "last"


STAGE = Stage(Checkpoint, version=1, package="siamese.learning", sections={"pairs": PairsParams})


class Embedder(nn.Module):
    """``(N, 3, 8, 8)`` to unit vectors ``(N, 8)``."""

    def __init__(self) -> None:
        super().__init__()
        # Without bias: before batch norm its gradient is nothing but rounding, which AdamW makes as large as any other.
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(512, 8)

    def forward(self, images: Tensor) -> Tensor:
        return normalize(self.head(self.body(images)), dim=1)


class PairsObjective(Objective[Embedder, Pairs, Pairs]):
    """Every pair of a batch is pulled together or pushed apart, whichever process holds its images."""

    def __init__(self, params: PairsParams) -> None:
        self.recipe = Recipe.of("pairs", params)

    def groups(self, network: Embedder) -> list[dict[str, Any]]:
        return [{"params": list(network.parameters()), "lr": 1e-3, "weight_decay": 0.0}]

    def forward(self, network: Embedder, batch: Pairs, share: float) -> Pairs:
        images, labels = batch
        return network(images.float() / 255), labels

    def loss(self, output: Pairs, share: float) -> Scored:
        embedded, labels = output
        alike, same = embedded @ embedded.T, labels[:, None] == labels
        missed = torch.where(same, 1 - alike, (alike - 0.2).relu())
        return Scored(missed.square().mean(), {"images": float(len(labels))})


class PairsSource:
    """Noise around four patterns."""

    steps_an_epoch = 4

    def __init__(self, params: PairsParams, rank: int, world: int) -> None:
        self._params, self._rank, self._world = params, rank, world

    def batch(self, step: int) -> Pairs:
        params = self._params
        own = params.batch // self._world
        whole = params.batch * params.accumulate
        rng = np.random.default_rng((params.seed, step))
        labels = rng.integers(0, 4, whole)
        patterns = np.random.default_rng(0).integers(0, 200, (4, 3, 8, 8))
        images = (patterns[labels] + rng.integers(0, 50, (whole, 3, 8, 8))).astype(np.uint8)
        # Each part of a step is shared out by itself.
        chosen = np.arange(whole).reshape(params.accumulate, self._world, own)[:, self._rank].ravel()
        return torch.from_numpy(images[chosen]), torch.from_numpy(labels[chosen])


class PairsTask(Task[Embedder, Pairs, Pairs, Checkpoint]):
    """Learns the embedding and publishes it as a checkpoint for similarity."""

    verb, examples, kind = "embed", "images", Checkpoint

    def __init__(self, params: PairsParams, store: ObjectStore) -> None:
        self.recipe, self.store, self._params = Recipe.of("pairs", params), store, params

    @property
    def origin(self) -> Origin:
        return STAGE.plan(inputs={"images": "made up"}, params=self.sections)

    @property
    def sections(self) -> Mapping[str, Section]:
        return {"pairs": self._params}

    @property
    def lineage(self) -> Mapping[str, str]:
        return {"images": "made up"}

    def check_processes(self, count: int) -> None:
        assert self._params.batch % count == 0

    def build(self, *, fresh: bool) -> tuple[Embedder, str]:
        torch.manual_seed(self._params.seed)
        return Embedder(), "random"

    def objective(self, start: str) -> PairsObjective:
        return PairsObjective(self._params)

    def source(self, network: Embedder, rank: int, world: int) -> PairsSource:
        return PairsSource(self._params, rank, world)

    def judge(self, network: Embedder, beat: Beat) -> Judgement:
        beat()
        return Judgement(-1.0, {"distance": 1.0})

    def publish(self, network: Embedder, progress: Progress, curves: bytes, beat: Beat) -> Published[Checkpoint]:
        beat()
        folder = Checkpoint.folder(self.store, self.origin.digest)
        return Published(
            Checkpoint(
                origin=self.origin,
                task="similarity",
                weights=put_blob(self.store, folder, "weights.safetensors", serialize(network.state_dict())),
                network=put_blob(self.store, folder, "network.json", b"{}"),
                curves=put_blob(self.store, folder, "curves.csv", curves),
                pairs="",
                epochs=len(progress.rows),
                best_epoch=progress.best_epoch,
                run_id=progress.run_id,
            ).publish(self.store)
        )
