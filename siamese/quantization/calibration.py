"""Post-training quantization: ranges of numbers from a few scenes, then NNCF puts 8-bit integers in their place."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from siamese.errors import SiameseError
from siamese.model import SiameseUNet
from siamese.model.backends import (
    BackendError,
    Graph,
    Image,
    OpenVinoBackend,
    import_openvino,
    kept_signal_stack,
    write_graph,
)
from siamese.pairs import PairReader, SceneEntry
from siamese.progress import Advance, progress

ReadPair = Callable[[], tuple[Image, Image, int]]
"""Gives pre and post image, and the disaster's number."""

_STAY_FLOAT = ("Add", "Multiply", "Concat", "Interpolate")
"""Convolutions take nearly all of the time, and the rest in integers adds to the error."""


def calibration_scenes(reader: PairReader, most: int) -> tuple[SceneEntry, ...]:
    """At most so many scenes of the train split, evenly over those with buildings, else over all.

    Raises:
        SiameseError: The split is empty.
    """
    scenes = reader.scenes("train")
    scenes = tuple(entry for entry in scenes if entry.pixels[..., 1:5].any()) or scenes
    if not scenes:
        raise SiameseError("the train split is empty", where="quantize", fix="build pairs from more scenes")
    count = min(most, len(scenes))
    return tuple(scenes[number * len(scenes) // count] for number in range(count))


def int8_graphs(network: SiameseUNet, pairs: Sequence[ReadPair]) -> tuple[Graph, ...]:
    """The parts of a network, with the weights and inputs of its convolutions in 8-bit integers.

    Args:
        network: In eval mode.
        pairs: What ranges of numbers are taken from; each is read several times.

    Raises:
        SiameseError: The package nncf is missing, or OpenVINO cannot run the network.
    """
    nncf = _nncf()
    try:
        backend = OpenVinoBackend(network, bf16=False)
    except BackendError as error:
        raise SiameseError(f"OpenVINO cannot run it: {error}", where="quantize", fix="use it as it is") from error
    graphs = []
    with progress("quantize, scenes", len(pairs) * len(backend.models)) as advance:
        for part, model in enumerate(backend.models):
            given = nncf.Dataset(_Given(backend, pairs, part, advance))
            kind = {"preset": nncf.QuantizationPreset.PERFORMANCE, "target_device": nncf.TargetDevice.CPU}
            float_ = nncf.IgnoredScope(types=list(_STAY_FLOAT), validate=False)
            # Its progress bars go to stdout.
            with redirect_stdout(io.StringIO()), kept_signal_stack():
                made = nncf.quantize(model, given, subset_size=len(pairs), ignored_scope=float_, **kind)
            graphs.append(write_graph(made))
    return tuple(graphs)


@dataclass
class _Given:
    """What one part of the network is given for each pair, as often as it is asked for."""

    backend: OpenVinoBackend
    pairs: Sequence[ReadPair]
    part: int
    advance: Advance
    shown: int = 0

    def __iter__(self) -> Iterator[Any]:
        for number, read in enumerate(self.pairs):
            given = self.backend.given(self.part, *read())
            if number >= self.shown:
                self.shown += 1
                self.advance()
            yield given


def _nncf() -> Any:  # noqa: ANN401
    import_openvino()  # Keeps its telemetry silent, which is NNCF's too.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    try:
        import nncf
    except ImportError as error:
        fix = "pip install 'siamese[int8]'"
        raise SiameseError("the package nncf is not installed", where="quantize", fix=fix) from error
    logging.getLogger("nncf").setLevel(logging.ERROR)  # It logs to stdout.
    return nncf
