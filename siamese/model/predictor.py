"""The predictor: runs trained networks on this machine's best device, backend and number format."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from threading import Lock
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import torch

from siamese.classes import DAMAGE_CLASSES, disaster_number
from siamese.errors import SiameseError
from siamese.manifests import Checkpoint
from siamese.model.backends import Graph, build_backend
from siamese.model.cost import pair_gflop
from siamese.model.decision import Classes, Decided, Decision, Probabilities, decide, least_building
from siamese.model.network import SiameseUNet
from siamese.model.precision import best_device
from siamese.model.weights import load_graphs, load_network, read_config
from siamese.settings import BackendName, Settings
from siamese.store import ObjectStore

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Flips = Literal[1, 2, 4]

_VIEWS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
"""Steps along rows and columns: unchanged, flipped left to right, flipped upside down, both."""


class Predictor:
    """Runs a network, or an ensemble with averaged probabilities, on pairs of images of any size.

    Any number of threads may share one predictor. It copies the networks, so later changes to them have no effect.

    Attributes:
        decision: How probabilities become classes.
        bands: Number of bands of the pre and of the post image.
    """

    def __init__(
        self,
        network: SiameseUNet | Sequence[SiameseUNet],
        decision: Decision,
        device: torch.device | None = None,
        *,
        backend: BackendName | None = None,
        expected_pairs: int = 1,
        flips: Flips = 1,
        graphs: Sequence[Sequence[Graph]] = (),
    ) -> None:
        """Prepares the networks for prediction.

        Args:
            network: One network, or an ensemble.
            decision: How probabilities become classes.
            device: Defaults to the GPU if there is one.
            backend: Defaults to the setting ``SIAMESE_BACKEND``.
            expected_pairs: How many pairs will be predicted: start-up work that pays off for many does not for few.
            flips: Number of views of each pair to average: unchanged, mirrored, upside down, both.
            graphs: For each network its parts in 8-bit integers; empty for one that was not quantized.

        Raises:
            SiameseError: The networks take images with different bands, or one is quantized and cannot run here.
        """
        networks = [network] if isinstance(network, SiameseUNet) else list(network)
        self.bands = networks[0].params.input_bands
        if any(one.params.input_bands != self.bands for one in networks):
            told = ", ".join(str(one.params.input_bands) for one in networks)
            fix = "average networks that take the same images"
            raise SiameseError(f"its networks take other bands (pre, post): {told}", where="ensemble", fix=fix)
        name, device = backend or Settings().backend, device or best_device()
        expected = expected_pairs * flips
        self.decision = decision
        self._backends = [
            build_backend(one, device, name, expected, parts)
            for one, parts in zip(networks, graphs or [()] * len(networks), strict=True)
        ]
        self._views = _VIEWS[:flips]
        self._networks = networks

    @classmethod
    def load(
        cls,
        store: ObjectStore,
        *checkpoints: Checkpoint,
        backend: BackendName | None = None,
        expected_pairs: int = 1,
        flips: Flips = 1,
    ) -> Self:
        """Loads the predictor of one checkpoint, or of several whose probabilities and decisions are averaged.

        Raises:
            SiameseError: Objects are missing or do not match; see :func:`siamese.model.load_network`. Or a checkpoint
                is given twice.
        """
        _check_once(checkpoints)
        networks, configs = zip(*(load_network(store, checkpoint) for checkpoint in checkpoints), strict=True)
        decision = average_decision([config.decision for config in configs])
        graphs = [load_graphs(store, checkpoint) for checkpoint in checkpoints]
        return cls(networks, decision, backend=backend, expected_pairs=expected_pairs, flips=flips, graphs=graphs)

    @property
    def gflop(self) -> float:
        """10^9 operations for a pair of 1024 x 1024 pixels that shows buildings."""
        return len(self._views) * sum(pair_gflop(one) for one in self._networks)

    @property
    def backend(self) -> str:
        """E.g. ``openvino bf16, 2 threads``."""
        return "; ".join(dict.fromkeys(backend.name for backend in self._backends))

    def predict(
        self, pre: Image, post: Image, disaster_type: str | None = None, *, classes_only: bool = False
    ) -> Probabilities:
        """Predicts probabilities for one pair, before calibration.

        Args:
            pre: ``(H, W, bands)`` uint8.
            post: The same after the disaster, with its own number of bands.
            disaster_type: The disaster type, one of :data:`siamese.classes.DISASTER_TYPES`.
            classes_only: The caller needs only the class raster. Then, where no pixel can become building, a network
                with ``localization: pre`` skips the post image, and damage is 1/4 everywhere.

        Raises:
            SiameseError: The images are not uint8 of one size, or have other bands than the network takes.
        """
        self._check(pre, post)
        disaster = disaster_number(disaster_type)
        answers = [
            (backend.ask(pre[::down, ::right], post[::down, ::right], disaster), down, right)
            for down, right in self._views
            for backend in self._backends
        ]
        building = _mean([answer.building[::down, ::right] for answer, down, right in answers])
        if classes_only and not (building >= least_building(self.decision)).any():
            return Probabilities(building, np.full((len(DAMAGE_CLASSES), *building.shape), 0.25, np.float32))
        return Probabilities(building, _mean([answer.damage()[:, ::down, ::right] for answer, down, right in answers]))

    def classify(self, pre: Image, post: Image, disaster_type: str | None = None) -> Classes:
        """Returns the class of every pixel, ``(H, W)`` uint8: 0 background, 1..4 damage, by the fitted decision."""
        return self.decide(self.predict(pre, post, disaster_type, classes_only=True)).classes

    def decide(self, prediction: Probabilities) -> Decided:
        """Returns the buildings and the class of every pixel of a prediction, by the fitted decision."""
        return decide(prediction, self.decision)

    def _check(self, pre: Image, post: Image) -> None:
        for image, bands, name in zip((pre, post), self.bands, ("pre", "post"), strict=True):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != bands or not image.size:
                what = f"is {image.dtype} {image.shape}, not uint8 (H, W, {bands})"
                raise SiameseError(what, where=f"{name} image", fix="give the bands that the network was trained on")
        if pre.shape[:2] != post.shape[:2]:
            what = f"{pre.shape[:2]} and {post.shape[:2]} are not two images of one size"
            raise SiameseError(what, where="pre and post image", fix="give both dates on one grid")


class DeferredPredictor:
    """A predictor of published checkpoints that loads the networks only on the first prediction.

    Any number of threads may share it.

    Attributes:
        decision: How its probabilities become classes.
        bands: Number of bands of the pre and of the post image.
    """

    def __init__(self, store: ObjectStore, *checkpoints: Checkpoint, expected_pairs: int = 1, flips: Flips = 1) -> None:
        """Reads the checkpoints' configuration but no weights; takes the arguments of :meth:`Predictor.load`.

        Raises:
            SiameseError: A configuration differs from what was published, or a checkpoint is given twice.
        """
        _check_once(checkpoints)
        configs = [read_config(one.network.read(store), one.network.uri) for one in checkpoints]
        self.decision = average_decision([config.decision for config in configs])
        self.bands = configs[0].network.input_bands
        self._load = partial(Predictor.load, store, *checkpoints, expected_pairs=expected_pairs, flips=flips)
        self._lock = Lock()
        self._loaded: Predictor | None = None

    def predict(
        self, pre: Image, post: Image, disaster_type: str | None = None, *, classes_only: bool = False
    ) -> Probabilities:
        """Predicts probabilities for one pair; see :meth:`Predictor.predict`."""
        with self._lock:
            self._loaded = self._loaded or self._load()
        return self._loaded.predict(pre, post, disaster_type, classes_only=classes_only)


def average_decision(decisions: Sequence[Decision]) -> Decision:
    """Returns the decision of an ensemble: the mean of its members' numbers; all else is taken from the first."""
    thresholds = ("building", "damaged_building", "building_peak")
    fields = (*thresholds, "building_temperature", "damage_temperature", "vote_temperature")
    means: dict[str, object] = {name: float(np.mean([getattr(one, name) for one in decisions])) for name in fields}
    for name in ("class_weights", "damage_biases"):
        each = np.mean([getattr(one, name) for one in decisions], axis=0)
        means[name] = tuple(map(float, each))
    return decisions[0].model_copy(update=means)


def _check_once(checkpoints: Sequence[Checkpoint]) -> None:
    digests = [checkpoint.digest for checkpoint in checkpoints]
    if twice := {digest for digest in digests if digests.count(digest) > 1}:
        raise SiameseError("is in the ensemble twice", where=f"checkpoint {min(twice)}", fix="name it once")


def _mean(arrays: Sequence[Floats]) -> Floats:
    if len(arrays) == 1:
        return arrays[0]
    total = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    total /= len(arrays)
    return total
