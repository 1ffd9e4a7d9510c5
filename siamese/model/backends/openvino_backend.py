"""OpenVINO: the fastest way to run a convolutional network on a CPU, for many images of few sizes."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from siamese.model.backends.backend import Answer, BackendError, Floats, Image
from siamese.model.backends.conversion import convert, import_openvino, parts
from siamese.model.backends.graph import Graph, read_graph
from siamese.model.backends.lean import LeanNetwork
from siamese.model.backends.outcome import building_probability, damage_probabilities
from siamese.model.backends.signal_stack import kept_signal_stack
from siamese.model.network import SiameseUNet
from siamese.model.precision import has_bf16

_MOST_PIXELS = 3 * 2**19
"""Image sizes stay compiled while they have no more pixels together than this; each has activations in memory."""
_TOLERANCE = 0.01
"""How far float32 results may deviate from PyTorch's, relative to the largest value."""


class OpenVinoBackend:
    """Runs a network on the CPU, compiled on demand for each image size.

    Attributes:
        models: OpenVINO models of the network's parts, for images of any size.
    """

    def __init__(self, network: SiameseUNet, *, bf16: bool | None = None, graphs: Sequence[Graph] = ()) -> None:
        """Converts the network and checks that its output is unchanged, or uses graphs converted earlier.

        Args:
            network: The network to run; later changes to it have no effect.
            bf16: Whether to compute in bfloat16 or float32; defaults to whichever is faster on the processor.
            graphs: The network's parts in 8-bit integers, as made by :mod:`siamese.quantization`.

        Raises:
            BackendError: OpenVINO is missing, cannot convert the network for images of any size, or cannot read a
                graph.
        """
        self._bf16 = has_bf16(torch.device("cpu")) if bf16 is None else bf16
        self._threads, self._multiple = torch.get_num_threads(), network.multiple
        self._bands, self._int8 = network.params.input_bands, bool(graphs)
        self._lock = threading.Lock()
        self._sizes: OrderedDict[tuple[int, int], tuple[Any, ...]] = OrderedDict()
        try:
            self._openvino = import_openvino()
            self._core = self._openvino.Core()
            lean = LeanNetwork(network)
            self._factors = lean.factors
            if graphs:
                self.models = [read_graph(self._core, graph) for graph in graphs]
            else:
                self.models = [convert(part) for part in parts(network, lean, 2, 3)]
                self._compare(network, lean)
        except Exception as error:
            raise _unfit(error) from error

    @property
    def name(self) -> str:
        """E.g. ``openvino bf16, 2 threads``."""
        kind = "int8" if self._int8 else "bf16" if self._bf16 else "fp32"
        return f"openvino {kind}, {self._threads} threads"

    def ask(self, pre: Image, post: Image, disaster: int) -> Answer:
        """Returns probabilities for one pair; see :class:`siamese.model.backends.Backend`."""
        size = pre.shape[:2]
        before, after = self._as_batch(pre), self._as_batch(post)
        what = np.array([disaster], np.int64)
        first, *second = self._for_size(*before.shape[1:3])
        if not second:
            building, damage = self._run(first, before, after, what)
            return Answer(self._building(building, size), lambda: self._damage(damage, size))
        building, *features = self._run(first, before)

        def assess() -> Floats:
            (damage,) = self._run(second[0], after, what, *features)
            return self._damage(damage, size)

        return Answer(self._building(building, size), assess)

    def given(self, part: int, pre: Image, post: Image, disaster: int) -> list[npt.NDArray[Any]]:
        """Returns the inputs of one of :attr:`models` for a pair."""
        before, after, what = self._as_batch(pre), self._as_batch(post), np.array([disaster], np.int64)
        if len(self.models) == 1:
            return [before, after, what]
        if part == 0:
            return [before]
        features = self._run(self._for_size(*before.shape[1:3])[0], before)[1:]
        return [after, what, *(tensor.data.copy() for tensor in features)]

    def _as_batch(self, image: Image) -> Image:
        below, right = (-side % self._multiple for side in image.shape[:2])
        if below or right:
            image = np.pad(image, ((0, below), (0, right), (0, 0)), mode="edge")
        return np.ascontiguousarray(image)[None]

    def _building(self, logits: Any, size: tuple[int, int]) -> Floats:  # noqa: ANN401
        return building_probability(logits.data, self._factors[0], size)

    def _damage(self, logits: Any, size: tuple[int, int]) -> Floats:  # noqa: ANN401
        return damage_probabilities(logits.data, self._factors[1], size)

    def _for_size(self, height: int, width: int) -> tuple[Any, ...]:
        size = height, width
        with self._lock:
            if size not in self._sizes:
                try:
                    self._sizes[size] = self._compile(height, width, bf16=self._bf16)
                except Exception as error:
                    raise _unfit(error) from error
            self._sizes.move_to_end(size)
            while len(self._sizes) > 1 and sum(map(math.prod, self._sizes)) > _MOST_PIXELS:
                self._sizes.popitem(last=False)
            return self._sizes[size]

    def _compile(self, height: int, width: int, *, bf16: bool) -> tuple[Any, ...]:
        pre, post = ([1, height, width, bands] for bands in self._bands)
        first, *second = (model.clone() for model in self.models)
        if not second:
            first.reshape(dict(enumerate([pre, post, [1]])))
            return (self._compiled(first, bf16=bf16),)
        first.reshape({0: pre})
        features = [list(output.shape) for output in first.outputs[1:]]
        second[0].reshape(dict(enumerate([post, [1], *features])))
        if bf16:
            # Features pass from one part to the next unchanged.
            first = self._with_bf16(first, outputs=range(1, 1 + len(features)))
            second = [self._with_bf16(second[0], inputs=range(2, 2 + len(features)))]
        return tuple(self._compiled(model, bf16=bf16) for model in (first, *second))

    def _with_bf16(self, model: Any, inputs: range = range(0), outputs: range = range(0)) -> Any:  # noqa: ANN401
        steps = self._openvino.preprocess.PrePostProcessor(model)
        for number in inputs:
            steps.input(number).tensor().set_element_type(self._openvino.Type.bf16)
        for number in outputs:
            steps.output(number).tensor().set_element_type(self._openvino.Type.bf16)
        return steps.build()

    def _compiled(self, model: Any, *, bf16: bool) -> Any:  # noqa: ANN401
        kind = "bf16" if bf16 else "f32"
        settings = {
            "INFERENCE_PRECISION_HINT": kind,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self._threads,
            # Threads pinned to processors wait whenever other work keeps those busy.
            "ENABLE_CPU_PINNING": False,
        }
        with kept_signal_stack():
            return self._core.compile_model(model, "CPU", settings)

    def _run(self, compiled: Any, *given: Any) -> list[Any]:  # noqa: ANN401
        """Runs a model on tensors, with a request of its own since several threads may call it."""
        request = compiled.create_infer_request()
        for number, value in enumerate(given):
            tensor = self._openvino.Tensor(value, shared_memory=True) if isinstance(value, np.ndarray) else value
            request.set_input_tensor(number, tensor)
        request.infer()
        return [request.get_output_tensor(number) for number in range(len(compiled.outputs))]

    def _compare(self, network: SiameseUNet, lean: LeanNetwork) -> None:
        """Compares with PyTorch, on images of a different size than those traced."""
        rows, columns = 4, 3
        compiled = self._compile(rows * self._multiple, columns * self._multiple, bf16=False)
        for model, part in zip(compiled, parts(network, lean, rows, columns), strict=True):
            said = self._run(model, *(tensor.numpy() for tensor in part.given))
            for ours, theirs in zip(said, part.said, strict=True):
                far = float(np.abs(ours.data - theirs.numpy()).max()) / max(1.0, float(theirs.abs().max()))
                if not far <= _TOLERANCE:
                    raise ValueError(f"it says otherwise than PyTorch, by {far:.3g}")


def _unfit(error: Exception) -> BackendError:
    said = " ".join(str(error).split())[:200]
    return BackendError(f"{type(error).__name__}: {said}")
