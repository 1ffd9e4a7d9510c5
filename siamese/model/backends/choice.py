"""Chooses the backend that runs a network, and falls back to PyTorch when it fails."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache

import torch

from siamese.errors import SiameseError
from siamese.model.backends.backend import Answer, Backend, BackendError, Image
from siamese.model.backends.graph import Graph
from siamese.model.backends.openvino_backend import OpenVinoBackend
from siamese.model.backends.torch_backend import TorchBackend
from siamese.model.network import SiameseUNet
from siamese.progress import LOGGER
from siamese.settings import BackendName

BREAK_EVEN_PAIRS = 20
"""Number of pairs of 1024 x 1024, some without buildings, after which OpenVINO has made up for its longer start.

Measured with `benchmarks/inference.py`: ready 1.5 s later, 0.08 s faster per pair."""


def build_backend(
    network: SiameseUNet,
    device: torch.device,
    name: BackendName,
    expected_pairs: int,
    graphs: Sequence[Graph] = (),
) -> Backend:
    """Builds the backend for a network; one that fails, now or later, is replaced by PyTorch with a warning.

    ``auto`` picks OpenVINO on a CPU when at least :data:`BREAK_EVEN_PAIRS` are expected, otherwise PyTorch: the choice
    then depends only on the work, not on when a background compiler finishes, and the same work gives the same bits.
    A network in 8-bit integers was evaluated as such, so it never falls back to anything else.

    Args:
        network: The network to run.
        device: The device that PyTorch would use.
        name: The backend to use.
        expected_pairs: How many pairs will be predicted.
        graphs: The network's parts in 8-bit integers, if it was quantized.

    Raises:
        SiameseError: The network was quantized, and OpenVINO cannot run it here.
    """
    wanted = device.type == "cpu" and expected_pairs >= BREAK_EVEN_PAIRS
    backend: Backend
    if graphs:
        backend = _int8(network, name, graphs)
    elif name == "torch" or (name == "auto" and not wanted):
        backend = TorchBackend(network, device)
    else:
        backend = _Guarded(network, device)
    _say(f"network runs on {backend.name}")
    return backend


def _int8(network: SiameseUNet, name: BackendName, graphs: Sequence[Graph]) -> Backend:
    fix = "use the checkpoint that it was made from"
    if name == "torch":
        raise SiameseError("PyTorch cannot run a quantized network", where="SIAMESE_BACKEND", fix=f"unset it, or {fix}")
    try:
        return OpenVinoBackend(network, graphs=graphs)
    except BackendError as error:
        raise SiameseError(f"OpenVINO cannot run it: {error}", where="quantized network", fix=fix) from error


class _Guarded:
    """Runs OpenVINO until it fails, then PyTorch."""

    def __init__(self, network: SiameseUNet, device: torch.device) -> None:
        self._network, self._device, self._lock = network, device, threading.Lock()
        self._backend: Backend
        try:
            self._backend = OpenVinoBackend(network)
        except BackendError as error:
            self._replace(error)

    @property
    def name(self) -> str:
        return self._backend.name

    def ask(self, pre: Image, post: Image, disaster: int) -> Answer:
        try:
            return self._backend.ask(pre, post, disaster)
        except BackendError as error:
            with self._lock:
                if not isinstance(self._backend, TorchBackend):
                    self._replace(error)
            return self._backend.ask(pre, post, disaster)

    def _replace(self, error: BackendError) -> None:
        LOGGER.warning(f"OpenVINO cannot run this network, PyTorch does: {error}")
        self._backend = TorchBackend(self._network, self._device)


@cache
def _say(line: str) -> None:
    """Logs once per process, because training builds a predictor for every validation."""
    LOGGER.info(line)
