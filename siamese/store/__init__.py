"""Object storage: addresses, objects, write-once manifests, and movable pointers."""

from siamese.store.context import Context, open_context
from siamese.store.manifest import Blob, Manifest, Origin, put_blob, put_file
from siamese.store.objects import ObjectInfo, ObjectStore, RaceLostError, file_sha256
from siamese.store.pointer import move_pointer, read_pointer
from siamese.store.stage import Stage
from siamese.store.stored import Stored
from siamese.store.uri import S3Uri

__all__ = [
    "Blob",
    "Context",
    "Manifest",
    "ObjectInfo",
    "ObjectStore",
    "Origin",
    "RaceLostError",
    "S3Uri",
    "Stage",
    "Stored",
    "file_sha256",
    "move_pointer",
    "open_context",
    "put_blob",
    "put_file",
    "read_pointer",
]
