"""Embedding: a vector for each building, image or labelled building, and search among them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from siamese.embedding.vectors import Vectors, read_vectors
    from siamese.embedding.verb import embed_catalog, embed_folder, embed_map, embed_pairs, is_indexed, plan_map

__all__ = [
    "Vectors",
    "embed_catalog",
    "embed_folder",
    "embed_map",
    "embed_pairs",
    "is_indexed",
    "plan_map",
    "read_vectors",
]

_LIGHT: Final = {"Vectors", "read_vectors"}


def __getattr__(name: str) -> object:
    """Imports names on first access: PyTorch loads for seconds, and searching needs no network."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'vectors' if name in _LIGHT else 'verb'}"), name)
