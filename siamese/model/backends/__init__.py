"""Backends that run a trained network: one interface, and an implementation for each kind of machine."""

from siamese.model.backends.backend import Answer, Backend, BackendError, Image
from siamese.model.backends.choice import BREAK_EVEN_PAIRS, build_backend
from siamese.model.backends.conversion import import_openvino
from siamese.model.backends.graph import Graph, write_graph
from siamese.model.backends.openvino_backend import OpenVinoBackend
from siamese.model.backends.signal_stack import kept_signal_stack
from siamese.model.backends.torch_backend import TorchBackend

__all__ = [
    "BREAK_EVEN_PAIRS",
    "Answer",
    "Backend",
    "BackendError",
    "Graph",
    "Image",
    "OpenVinoBackend",
    "TorchBackend",
    "build_backend",
    "import_openvino",
    "kept_signal_stack",
    "write_graph",
]
