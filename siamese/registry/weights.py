"""Verifies that a checkpoint's weights are the bytes that were registered."""

from __future__ import annotations

import hashlib
from typing import TypeVar

from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, SimilarityModel
from siamese.store import ObjectStore, S3Uri

T = TypeVar("T", bound=Checkpoint | SimilarityModel)

_PIECE = 2**20


def verify_weights(checkpoint: T, registered: str, store: ObjectStore) -> T:
    """Reads a checkpoint's weights in pieces and compares their sha256 with the registered one.

    Args:
        checkpoint: The checkpoint or similarity model whose weights are verified.
        registered: The sha256 that was registered.
        store: Holds the weights.

    Returns:
        The same manifest.

    Raises:
        SiameseError: The bytes on storage, or the checkpoint's own record, differ from what was registered.
    """
    digest = hashlib.sha256()
    with store.open(S3Uri.parse(checkpoint.weights.uri)) as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    if not digest.hexdigest() == registered == checkpoint.weights.sha256:
        what = f"weights do not match their registered sha256 {registered[:12]}…; the model is refused"
        fix = "restore the object's version with that sha256 from the bucket's history, or train again"
        raise SiameseError(what, where=checkpoint.weights.uri, fix=fix)
    return checkpoint
