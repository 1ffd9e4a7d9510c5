"""Duplicates: finds images that are flipped, turned, cut, resized, recoloured or re-encoded copies of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siamese.lazy import lazily

if TYPE_CHECKING:
    from siamese.duplicates.twins import ImageName, TwinPair
    from siamese.duplicates.verb import (
        Found,
        duplicates_of_catalog,
        duplicates_of_files,
        known_twins,
        read_found,
        twins_between,
    )

__all__ = [
    "Found",
    "ImageName",
    "TwinPair",
    "duplicates_of_catalog",
    "duplicates_of_files",
    "known_twins",
    "read_found",
    "twins_between",
]

# Twins that are known already are read without looking at images.
__getattr__ = lazily(
    __name__,
    {
        "siamese.duplicates.twins": ("ImageName", "TwinPair"),
        "siamese.duplicates.verb": (
            "Found",
            "duplicates_of_catalog",
            "duplicates_of_files",
            "known_twins",
            "read_found",
            "twins_between",
        ),
    },
)
