"""Post-training quantization: collects value ranges from a few scenes, then converts to 8-bit integers with NNCF."""

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
"""Returns pre and post image, and the index of the disaster type."""

_STAY_FLOAT = ("Add", "Multiply", "Concat", "Interpolate")
"""Convolutions take nearly all of the time, and quantizing the rest would add to the error."""


def calibration_scenes(reader: PairReader, most: int) -> tuple[SceneEntry, ...]:
    """Returns some scenes of the train split, spread evenly over those with buildings, or over all if none has any.

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
    """Returns the parts of a network, with the weights and inputs of its convolutions in 8-bit integers.

    Args:
        network: Must be in eval mode.
        pairs: Pairs from which value ranges are collected; each is read several times.

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
            # Its progress bars would go to stdout.
            with redirect_stdout(io.StringIO()), kept_signal_stack():
                made = nncf.quantize(model, given, subset_size=len(pairs), ignored_scope=float_, **kind)
            graphs.append(write_graph(made))
    return tuple(graphs)


@dataclass
class _Given:
    """The inputs of one part of the network for each pair; can be iterated repeatedly."""

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
    import_openvino()  # Silences OpenVINO's telemetry, which NNCF uses too.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    try:
        import nncf
    except ImportError as error:
        fix = "pip install 'siamese[int8]'"
        raise SiameseError("the package nncf is not installed", where="quantize", fix=fix) from error
    logging.getLogger("nncf").setLevel(logging.ERROR)  # NNCF logs to stdout.
    return nncf
