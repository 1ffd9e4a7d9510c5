"""The work that each contender does for a pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from speed.contenders import Runner
from speed.pairs import Image

if TYPE_CHECKING:
    from siamese.model import Probabilities, SiameseUNet
    from siamese.model.backends import Graph

Predict = Callable[[Image, Image], "Probabilities"]

MANY = 10_000
"""Number of expected pairs, as in the evaluation of a whole data set."""


def start(runner: Runner, network: SiameseUNet) -> tuple[Predict, Predict, str]:
    """Prepares a runner.

    Returns:
        A function that predicts a pair; one that predicts a pair without buildings; the name of the backend.
    """
    if runner == "auto":
        return _predictor(network)
    if runner == "eager fp32":
        return _eager(network)
    return _backend(runner, network)


def _predictor(network: SiameseUNet) -> tuple[Predict, Predict, str]:
    from siamese.model import Decision, Predictor

    predictor = Predictor(network, Decision(building=1, damaged_building=1), expected_pairs=MANY)

    def empty(pre: Image, post: Image) -> Probabilities:
        return predictor.predict(pre, post, classes_only=True)

    return predictor.predict, empty, predictor.backend


def _backend(runner: Runner, network: SiameseUNet) -> tuple[Predict, Predict, str]:
    import torch

    from siamese.model import Probabilities
    from siamese.model.backends import Backend, OpenVinoBackend, TorchBackend
    from siamese.model.precision import best_device

    library, _, kind = runner.partition(" ")
    backend: Backend
    if kind == "int8":
        backend = OpenVinoBackend(network, graphs=_int8(network))
    elif library == "openvino":
        backend = OpenVinoBackend(network, bf16=kind == "bf16")
    else:
        backend = TorchBackend(network, best_device(), {"bf16": torch.bfloat16, "fp32": torch.float32}[kind])

    def predict(pre: Image, post: Image) -> Probabilities:
        answer = backend.ask(pre, post, 0)
        return Probabilities(answer.building, answer.damage())

    return predict, predict, backend.name


def _int8(network: SiameseUNet) -> tuple[Graph, ...]:
    from siamese.quantization.calibration import int8_graphs
    from speed.pairs import decode, pair_of_png

    pre, post = map(decode, pair_of_png(512))
    return int8_graphs(network, [lambda: (pre, post, 0)])


def _eager(network: SiameseUNet) -> tuple[Predict, Predict, str]:
    """Builds the network in eager mode, as one would write it in a notebook."""
    import torch

    from siamese.model import Probabilities
    from siamese.model.precision import best_device

    device = best_device()
    network = network.to(device)

    @torch.inference_mode()
    def predict(pre: Image, post: Image) -> Probabilities:
        images = [torch.from_numpy(image).permute(2, 0, 1)[None].to(device).float() / 255 for image in (pre, post)]
        output = network(*images)
        building, damage = torch.sigmoid(output.localization[0, 0]), torch.softmax(output.damage[0], 0)
        return Probabilities(building.cpu().numpy(), damage.cpu().numpy())

    return predict, predict, f"eager fp32, {device.type}"
