"""Duplicates: finds images that are flipped, turned, cut, resized, recoloured or re-encoded copies of each other."""

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
