"""A map in a process of its own that may be killed in the middle."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from builders.made_rasters import SMALL, Colours, Image

from siamese.manifests import Checkpoint
from siamese.mapping import map_pair
from siamese.model import Predictor, Probabilities
from siamese.settings import Settings
from siamese.store import ObjectStore

_PROCESSES = get_context("forkserver")
# A process of its own each, but libraries are imported once.
_PROCESSES.set_forkserver_preload(["killed_map"])


@dataclass(frozen=True)
class Job:
    """A map to make."""

    settings: Settings
    pre: str
    post: str
    checkpoint: Checkpoint
    asked: Path
    """Each call of the network appends a byte to this file."""
    kill_at: int | None = None
    """The call that ends the process."""
    colours: bool = False
    """With the predictor that knows colours, instead of the checkpoint's."""

    def start(self) -> BaseProcess:
        """Starts it in a process of its own."""
        process = _PROCESSES.Process(target=self.run)
        process.start()
        return process

    def run(self) -> None:
        """Makes the map."""
        torch.set_num_threads(1)
        store = ObjectStore(self.settings)
        network = Colours() if self.colours else Predictor.load(store, self.checkpoint, backend="torch")
        map_pair(
            [self.pre], [self.post], self.checkpoint, SMALL, store,
            predictor=Killed(network, self.asked, self.kill_at),
        )  # fmt: skip


class Killed:
    """A network that counts its calls in a file, and at one of them ends its process as nobody can catch it."""

    def __init__(self, network: Predictor | Colours, asked: Path, kill_at: int | None) -> None:
        self.decision, self.bands = network.decision, network.bands
        self._network, self._asked, self._kill_at, self._calls = network, asked, kill_at, 0

    def predict(
        self, pre: Image, post: Image, disaster_type: str | None = None, *, classes_only: bool = False
    ) -> Probabilities:
        """Asks the network, unless this is the end."""
        self._calls += 1
        if self._calls == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        with self._asked.open("ab") as file:
            file.write(b".")
        return self._network.predict(pre, post, disaster_type, classes_only=classes_only)
