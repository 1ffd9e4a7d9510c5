"""Ingest: raw objects on a bucket to a catalog that says of every scene what it is and whether it can be trusted."""

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
