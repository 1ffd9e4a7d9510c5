"""Held-out scenes as arrays: what a network that never saw them says of each pixel, and the outlines people drew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from contest.scenes import Collection, Fold

from siamese.evaluation.pairset import split_tasks
from siamese.model import Decision, Predictor, Probabilities
from siamese.model.decision import rounded
from siamese.pairs import build_pairs
from siamese.params import Params
from siamese.progress import progress
from siamese.store import ObjectStore
from siamese.training import train


@dataclass(frozen=True, eq=False)
class HeldOutScene:
    """One scene that the network was not trained on.

    Attributes:
        name: Of the scene.
        building: ``(H, W)`` float32, probability of building.
        damage: ``(4, H, W)`` float32, probability of each damage class given building.
        truth: ``(H, W)`` int32, number of the labelled building that a pixel is in; 0 for none.
        decision: JSON of the network's decision.
    """

    name: str
    building: npt.NDArray[np.float32]
    damage: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int32]
    decision: str

    @property
    def probabilities(self) -> Probabilities:
        """What the network says."""
        return Probabilities(self.building.astype(np.float32), self.damage.astype(np.float32))

    def decided_by(self) -> Decision:
        """Returns the network's own thresholds."""
        return Decision.model_validate_json(self.decision)

    def save(self, path: Path) -> None:
        """Writes the scene to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            path, building=self.building.astype(np.float16), damage=self.damage.astype(np.float16), truth=self.truth,
            name=np.array(self.name), decision=np.array(self.decision),
        )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as found:
            return cls(str(found["name"]), found["building"], found["damage"], found["truth"], str(found["decision"]))


def hold_out(fold: Fold, collection: Collection, params: Params, work: Path, store: ObjectStore) -> list[HeldOutScene]:
    """Trains a network on the other folds, and returns what it says of the scenes of this one.

    What is done already is taken from storage and from ``work``; an interrupted training goes on.

    Args:
        fold: Names the scenes to hold out.
        collection: Labelled scenes.
        params: Of training.
        work: Folder that keeps the arrays.
        store: Keeps the network.
    """
    pairs = build_pairs(collection.catalog, fold.params, store)
    checkpoint = train(pairs, params.network, params.training, store)
    folder = work / "held-out" / f"{fold.name}-{checkpoint.digest}"
    done = folder / "done"
    if not done.is_file():
        predictor = Predictor.load(store, checkpoint)
        tasks = list(split_tasks(pairs, "test", store))
        with progress("held-out scenes", len(tasks)) as advance:
            for number, task in enumerate(tasks):
                truth = task.load()
                found = predictor.predict(truth.pre, truth.post, truth.disaster_type).without(truth.unseen)
                found = rounded(found, predictor.decision)
                scene = HeldOutScene(
                    task.scene, found.building, found.damage, truth.buildings.ids, predictor.decision.model_dump_json()
                )
                scene.save(folder / f"{number:03d}.npz")
                advance()
        done.touch()
    return [HeldOutScene.load(path) for path in sorted(folder.glob("*.npz"))]
