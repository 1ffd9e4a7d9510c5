"""Ingest: turns raw objects on a bucket into a catalog that describes every scene and whether it can be trusted."""

from siamese.ingest.catalog import ObjectRef, Scene, read_catalog, read_inventory
from siamese.ingest.labels import Building, Label, parse_label
from siamese.ingest.upload import UploadReport, upload
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
