"""Which backend runs a network, and what happens when it cannot."""

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
"""Pairs of 1024 x 1024 after which OpenVINO has won back its longer start, some of them without buildings.

Measured with `benchmarks/inference.py`: 1.5 s later ready, 0.08 s quicker a pair."""


def build_backend(
    network: SiameseUNet,
    device: torch.device,
    name: BackendName,
    expected_pairs: int,
    graphs: Sequence[Graph] = (),
) -> Backend:
    """The backend for a network; one that fails, now or later, makes way for PyTorch with a warning.

    ``auto`` takes OpenVINO on a CPU when at least :data:`BREAK_EVEN_PAIRS` are expected, else PyTorch: the choice then
    depends on the work alone, not on when a compiler in the background is done, and the same work gives the same bits.
    A network in 8-bit integers was judged as such, so nothing else ever runs in its place.

    Args:
        network: What is run.
        device: Where PyTorch would run it.
        name: Which backend.
        expected_pairs: How many pairs it will be asked about.
        graphs: Its parts in 8-bit integers, if it was quantized.

    Raises:
        SiameseError: It was quantized, and OpenVINO cannot run that here.
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
    """OpenVINO as long as it works, then PyTorch."""

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
    """Once in a process: training builds a predictor for every validation."""
    LOGGER.info(line)
