"""A map in a process of its own that may be killed in the middle; run by test_map_steps.py.

    python killed_map.py '{"pre": [...], "post": [...], "checkpoint": "{…}", "asked": "file", "kill_at": 3}'

Each call of the network appends a line to the file ``asked``; the call number ``kill_at`` kills the process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from made_rasters import SMALL, Colours

from siamese.manifests import Checkpoint
from siamese.mapping import map_pair
from siamese.model import Predictor
from siamese.store import ObjectStore


class Killed:
    """A network that counts its calls in a file, and at one of them ends its process as nobody can catch it."""

    def __init__(self, network: Predictor | Colours, asked: Path, kill_at: int | None) -> None:
        self.decision, self.bands = network.decision, network.bands
        self._network, self._asked, self._kill_at, self._calls = network, asked, kill_at, 0

    def predict(self, *given: object, **options: object) -> object:
        """Asks the network, unless this is the end."""
        self._calls += 1
        if self._calls == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        with self._asked.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return self._network.predict(*given, **options)  # type: ignore[arg-type]


def main() -> None:
    """Maps, and prints the digest."""
    job = json.loads(sys.argv[1])
    store = ObjectStore()
    checkpoint = Checkpoint.model_validate_json(job["checkpoint"])
    network = Colours() if job.get("colours") else Predictor.load(store, checkpoint, backend="torch")
    counted = Killed(network, Path(job["asked"]), job.get("kill_at"))
    made = map_pair(job["pre"], job["post"], checkpoint, SMALL, store, predictor=counted)
    print(made.digest)


if __name__ == "__main__":
    main()
