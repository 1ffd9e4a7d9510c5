"""A part of a network in OpenVINO's storage format, which needs neither PyTorch nor the network's code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from siamese.model.backends.conversion import import_openvino


@dataclass(frozen=True)
class Graph:
    """OpenVINO's intermediate representation: pure data; reading it executes nothing.

    Attributes:
        operations: The graph as XML.
        constants: The weights that the operations refer to.
    """

    operations: bytes
    constants: bytes


def write_graph(model: Any) -> Graph:  # noqa: ANN401
    """Returns the graph of an OpenVINO model."""
    with TemporaryDirectory() as folder:
        operations, constants = Path(folder) / "graph.xml", Path(folder) / "graph.bin"
        import_openvino().serialize(model, operations, constants)
        return Graph(operations.read_bytes(), constants.read_bytes())


def read_graph(core: Any, graph: Graph) -> Any:  # noqa: ANN401
    """Returns the OpenVINO model of a graph; raises whatever OpenVINO raises."""
    return core.read_model(graph.operations, graph.constants)
