"""One contender in its own process, which performs one task per request and reports how long it took."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Self

from speed.contenders import Contender, shape
from speed.pairs import decode, pair_of_png


class Worker:
    """A contender, as seen by the measuring process."""

    def __init__(self, contender: Contender, encoder: str, side: int) -> None:
        """Starts the process, without the variables of siamese.allocator unless it is tuned."""
        from siamese.allocator import allocator_environment

        plain = {name: value for name, value in os.environ.items() if name not in allocator_environment({})}
        environment = plain | allocator_environment(plain) if contender.tuned else plain
        words = [sys.executable, sys.argv[0], "--worker", contender.name, "--encoder", encoder, "--side-px", str(side)]
        self._process = subprocess.Popen(  # noqa: S603
            words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.contender = contender
        self.about: dict[str, Any] = {}
        self._asked = True

    def wait_until_ready(self) -> None:
        """Waits until it accepts requests; nothing is known about it before that."""
        self.about = self._answer()

    def do(self, job: str) -> tuple[float, float]:
        """Performs one task; returns wall-clock seconds and processor seconds."""
        assert self._process.stdin is not None  # noqa: S101
        self._asked = True
        print(job, file=self._process.stdin, flush=True)
        answer = self._answer()
        return answer["seconds"], answer["processor"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stops the process, even in the middle of an answer that is no longer needed."""
        if self._asked:
            self._process.kill()
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.close()
        self._process.wait(60)

    def peak_rss_mib(self) -> float | None:
        """Returns its peak memory; None while an answer is pending."""
        return None if self._asked else float(self.do("memory")[0])

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        self._asked = False
        return answer


def serve(contender: Contender, encoder: str, side: int) -> None:
    """Runs in the worker process: prints one JSON line about itself, then one for each word on stdin."""
    began = time.perf_counter()
    about, jobs = _ready(contender, encoder, side)
    _say(about | {"ready_s": time.perf_counter() - began})
    for line in sys.stdin:
        if line.strip() == "memory":
            _say({"seconds": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "processor": 0})
            continue
        started, used = time.perf_counter(), time.process_time()
        jobs[line.strip()]()
        _say({"seconds": time.perf_counter() - started, "processor": time.process_time() - used})


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def _ready(contender: Contender, encoder: str, side: int) -> tuple[dict[str, Any], dict[str, Callable[[], object]]]:
    import numpy as np
    import torch

    from siamese.model import Decision, build_network, class_raster
    from speed.runners import start

    torch.manual_seed(0)
    network = build_network(shape(contender, encoder)).eval()
    files = pair_of_png(side)
    pre, post = map(decode, files)
    began, used = time.perf_counter(), time.process_time()
    predict, empty, runner = start(contender.runner, network)
    prediction = predict(pre, post)
    start_s, start_processor_s = time.perf_counter() - began, time.process_time() - used
    # About as many buildings as a scene that has any.
    decision = Decision(building=float(np.quantile(prediction.building, 0.95)), damaged_building=1)
    jobs = {
        "pair": lambda: class_raster(predict(*map(decode, files)), decision),
        "network": lambda: predict(pre, post),
        "decode": lambda: [decode(data) for data in files],
        "decide": lambda: class_raster(prediction, decision),
        "empty": lambda: class_raster(empty(*map(decode, files)), Decision(building=1, damaged_building=1)),
    }
    about = {"runner": runner, "start_s": start_s, "start_processor_s": start_processor_s}
    return about, jobs
