"""Results of one contestant on one fold, each stored as a JSON file named by everything that it depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contest.contestants import Contestant
from contest.judging import SceneResult
from contest.scenes import Fold
from siamese.manifests import Scores
from siamese.params import Params
from siamese.store.provenance import code_version

_JUDGE = ("siamese.pairs", "contest.scenes", "contest.judging")


class Learned(BaseModel):
    """The outcome of a training run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minutes: float = Field(description="Of training, by the clock of the contest.")
    crops: int
    epochs: int
    best_epoch: int
    start: str = Field(description="Where the encoder's first weights came from.")
    validation: Scores | None


class Result(BaseModel):
    """The result of one contestant on one fold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contestant: str
    fold: str
    key: str
    revision: str
    threads: int
    learned: Learned
    scenes: tuple[SceneResult, ...] = Field(min_length=1)


def result_key(contestant: Contestant, fold: Fold, params: Params, data: str) -> str:
    """Returns a hash of everything that a result depends on: scenes, fold, params, budget, code.

    Args:
        contestant: The contestant.
        fold: Determines the test scenes.
        params: Including the contestant's overrides and the budget.
        data: Fingerprint of the scenes.
    """
    network = params.network.identity()
    if contestant.is_reference:
        network = {name: getattr(params.network, name) for name in ("encoder", "pretrained")}
    code = "contest.references" if contestant.is_reference else "siamese.training"
    parts: list[Any] = [
        contestant.kind,
        data,
        params.ingest.identity(),
        fold.params.identity(),
        network,
        params.training.identity(),
        params.evaluation.iou,
        [code_version(module) for module in (*_JUDGE, code)],
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class Results:
    """A folder of results."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, contestant: Contestant, fold: Fold, key: str) -> Result | None:
        """Returns the stored result; None if there is none, or it cannot be read."""
        try:
            return Result.model_validate_json(self._path(contestant.name, fold.name, key).read_bytes())
        except (OSError, ValidationError):
            return None

    def keep(self, result: Result) -> None:
        """Writes a result atomically."""
        path = self._path(result.contestant, result.fold, result.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        written = path.with_suffix(".part")
        written.write_text(result.model_dump_json(indent=1))
        written.replace(path)

    def _path(self, contestant: str, fold: str, key: str) -> Path:
        return self._folder / f"{contestant}-{fold}-{key}.json"


def by_contestant(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Groups results by contestant, in order of first appearance."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.contestant, []).append(result)
    return found
