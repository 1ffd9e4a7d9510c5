"""Are a checkpoint's weights the bytes that were registered?"""

from __future__ import annotations

import hashlib

from siamese.errors import SiameseError
from siamese.manifests import Checkpoint
from siamese.store import ObjectStore, S3Uri

_PIECE = 2**20


def verify_weights(checkpoint: Checkpoint, registered: str, store: ObjectStore) -> Checkpoint:
    """Reads the weights through, a piece at a time, and compares their sha256.

    Args:
        checkpoint: Whose weights.
        registered: The sha256 that was registered.
        store: Where they lie.

    Returns:
        The checkpoint.

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
