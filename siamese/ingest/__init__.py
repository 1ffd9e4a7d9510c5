"""Ingest: turns raw objects on a bucket into a catalog that describes every scene and whether it can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siamese.lazy import lazily

if TYPE_CHECKING:
    from siamese.ingest.catalog import ObjectRef, Scene, read_catalog, read_inventory
    from siamese.ingest.labels import Building, Label, parse_label
    from siamese.ingest.uploading import UploadReport, upload
    from siamese.ingest.verb import ingest

__all__ = [
    "Building",
    "Label",
    "ObjectRef",
    "Scene",
    "UploadReport",
    "ingest",
    "parse_label",
    "read_catalog",
    "read_inventory",
    "upload",
]

# The catalog is read without decoding images.
__getattr__ = lazily(
    __name__,
    {
        "siamese.ingest.catalog": ("ObjectRef", "Scene", "read_catalog", "read_inventory"),
        "siamese.ingest.labels": ("Building", "Label", "parse_label"),
        "siamese.ingest.uploading": ("UploadReport", "upload"),
        "siamese.ingest.verb": ("ingest",),
    },
)
