"""Embedding: a vector for each building, image or labelled building, and search among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siamese.lazy import lazily

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

# Searching needs no network.
__getattr__ = lazily(
    __name__,
    {
        "siamese.embedding.vectors": ("Vectors", "read_vectors"),
        "siamese.embedding.verb": (
            "embed_catalog",
            "embed_folder",
            "embed_map",
            "embed_pairs",
            "is_indexed",
            "plan_map",
        ),
    },
)
