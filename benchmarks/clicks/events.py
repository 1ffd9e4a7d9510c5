"""Held-out events as arrays: the labelled buildings of an event as a network sees them that never saw the event."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, cast

import cv2
import numpy as np
import numpy.typing as npt
import timm
import torch
from contest.scenes import Collection

from siamese.classes import DAMAGE_CLASSES, UNCLASSIFIED
from siamese.embedding.featuring import DamageFeatures
from siamese.errors import SiameseError
from siamese.evaluation.pairset import split_tasks
from siamese.evaluation.truth import SceneTruth
from siamese.manifests import Checkpoint
from siamese.model import Predictor, calibrate
from siamese.model.decision import pixel_votes
from siamese.model.imagenet import packaged_weights
from siamese.pairs import build_pairs
from siamese.params import Params
from siamese.progress import progress
from siamese.store import ObjectStore
from siamese.training import train

Floats = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

_ENCODER = "tf_efficientnet_lite0"
_CHIP_PX = 96
_CONTEXT_PX = 8
_BATCH = 32


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The labelled buildings of an event, as a network sees them that was trained without it.

    Attributes:
        truth: ``(n,)`` int64, damage class 0..3.
        mapped: ``(n,)`` int64, class by the network's own vote: the map as it was.
        prior: ``(n, 4)`` calibrated probabilities of the network.
        vectors: ``(n, d)`` the network's features inside the outline, as ``siamese similarity embed`` pools them.
        chips: ``(n, 1280)`` features of an ImageNet encoder on a chip of the post image.
        positions: ``(n, 2)`` middle in pixels; scenes lie side by side, a scene's width apart.
    """

    truth: npt.NDArray[np.int64]
    mapped: npt.NDArray[np.int64]
    prior: Floats
    vectors: Floats
    chips: Floats
    positions: Floats

    def __len__(self) -> int:
        return len(self.truth)

    def save(self, path: Path) -> None:
        """Writes the arrays to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **asdict(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as found:
            return cls(**{name: found[name] for name in cls.__dataclass_fields__})


def hold_out(event: str, collection: Collection, params: Params, work: Path, store: ObjectStore) -> HeldOut:
    """Trains a network on the scenes of all other events, and describes the buildings of this one by it.

    What is done already is taken from storage and from ``work``; an interrupted training goes on.

    Args:
        event: The event.
        collection: Labelled scenes.
        params: Of training and of vectors.
        work: Folder that keeps the arrays.
        store: Keeps the network.
    """
    fold = params.pairs.model_copy(update={"split": "fold", "unplaced": "spread", "test_events": (event,)})
    pairs = build_pairs(collection.catalog, fold, store)
    checkpoint = train(pairs, params.network, params.training, store)
    path = work / "held-out" / f"{event}-{checkpoint.digest}-{_identity(params)}.npz"
    if not path.is_file():
        _describe([task.load() for task in split_tasks(pairs, "test", store)], checkpoint, params, store).save(path)
    return HeldOut.load(path)


def _identity(params: Params) -> str:
    told = params.embedding
    return f"{'-'.join(map(str, told.strides))}{'-decoded' * told.decoded}"


def _describe(scenes: list[SceneTruth], checkpoint: Checkpoint, params: Params, store: ObjectStore) -> HeldOut:
    predictor = Predictor.load(store, checkpoint)
    network = DamageFeatures.load(checkpoint, params.embedding, store)
    encoder = _ImageNet()
    parts = []
    with progress("held-out scenes", len(scenes)) as advance:
        for number, scene in enumerate(scenes):
            if parts_of := _scene(scene, number, predictor, network, encoder):
                parts.append(parts_of)
            advance()
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in HeldOut.__dataclass_fields__}
    return HeldOut(**joined)


def _scene(
    scene: SceneTruth, number: int, predictor: Predictor, network: DamageFeatures, encoder: _ImageNet
) -> HeldOut | None:
    ids, classes = scene.buildings.ids, scene.buildings.classes
    count = len(classes)
    pixels = np.bincount(ids.reshape(-1), minlength=count + 1)[1:]
    kept = np.flatnonzero((pixels > 0) & (classes != UNCLASSIFIED))
    if not len(kept):
        return None
    told = predictor.predict(scene.pre, scene.post, scene.disaster_type)
    decision = predictor.decision
    inside = ids > 0
    owner = ids[inside] - 1
    size = np.maximum(pixels, 1)[:, None]
    prior, votes = (
        np.stack([np.bincount(owner, values, count) for values in damage[:, inside].astype(np.float64)], axis=1) / size
        for damage in (calibrate(told, decision).damage, pixel_votes(told.damage, decision))
    )
    rows, cols = np.nonzero(inside)
    middles = np.stack([np.bincount(owner, values, count) for values in (cols, rows)], axis=1) / size
    vectors = network.vectors(scene.pre, scene.post, ids, count, scene.disaster_type)
    boxes = [_box(ids == building + 1) for building in kept]
    return HeldOut(
        truth=classes[kept].astype(np.int64) - 1,
        mapped=(votes * np.asarray(decision.class_weights)).argmax(axis=1)[kept],
        prior=prior[kept].astype(np.float32),
        vectors=vectors[kept],
        chips=encoder.features(np.stack([_chip(scene.post, *box) for box in boxes])),
        positions=(middles[kept] + [2 * number * ids.shape[1], 0]).astype(np.float32),
    )


def _box(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int]:
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    side = int(max(rows[-1] - rows[0], cols[-1] - cols[0])) + 1 + 2 * _CONTEXT_PX
    return int(rows[0] + rows[-1] + 1 - side) // 2, int(cols[0] + cols[-1] + 1 - side) // 2, side


def _chip(image: Image, row: int, col: int, side: int) -> Image:
    beyond = max(0, -row, -col, row + side - image.shape[0], col + side - image.shape[1])
    framed = cv2.copyMakeBorder(image, beyond, beyond, beyond, beyond, cv2.BORDER_REFLECT_101) if beyond else image
    cut = framed[row + beyond : row + beyond + side, col + beyond : col + beyond + side]
    way = cv2.INTER_AREA if side > _CHIP_PX else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(cut, (_CHIP_PX, _CHIP_PX), interpolation=way), np.uint8)


class _ImageNet:
    """An encoder with ImageNet weights, as a classifier's last features: what a person takes off the shelf."""

    def __init__(self) -> None:
        path = packaged_weights(_ENCODER)
        if path is None:
            fix = "install the extra `imagenet`"
            raise SiameseError("no ImageNet weights are installed", where=_ENCODER, fix=fix)
        network = cast("Any", timm.create_model(_ENCODER, pretrained=False))
        weights = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)))
        network.reset_classifier(0)
        self._network = network.eval()
        config = network.default_cfg
        self._mean, self._std = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))

    @torch.inference_mode()
    def features(self, chips: Image) -> Floats:
        """Returns ``(n, 1280)`` of chips ``(n, side, side, 3)`` uint8."""
        batches = []
        for start in range(0, len(chips), _BATCH):
            batch = torch.from_numpy(chips[start : start + _BATCH]).permute(0, 3, 1, 2) / 255
            batches.append(np.asarray(self._network((batch - self._mean) / self._std), np.float32))
        return np.concatenate(batches)


def support(truth: npt.NDArray[np.int64]) -> dict[str, int]:
    """Returns the buildings of each class."""
    return {name: int((truth == number).sum()) for number, name in enumerate(DAMAGE_CLASSES)}
