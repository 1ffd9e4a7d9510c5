"""A bounded in-memory cache of decoded blocks, for reading a few scenes repeatedly."""

from __future__ import annotations

import random
import threading

from siamese.pairs.blocks import Image

Images = tuple[Image, Image, Image]
"""Pre, post and mask of a block."""


class DecodedBlocks:
    """Decoded blocks by the sha256 of their sample; random ones are dropped when the limit is exceeded.

    Training reads everything in turn, so dropping the oldest would drop exactly what is needed next. Safe to share
    between threads. The returned arrays must not be written to.
    """

    def __init__(self, limit_bytes: int) -> None:
        """Creates a cache of at most ``limit_bytes`` bytes of pixels."""
        self._limit, self._bytes = limit_bytes, 0
        self._held: dict[bytes, Images] = {}
        self._order: list[bytes] = []
        self._lock = threading.Lock()

    def get(self, digest: bytes) -> Images | None:
        """Returns the images of the sample with this sha256 if they are cached, else None."""
        return self._held.get(digest)

    def put(self, digest: bytes, images: Images) -> None:
        """Caches images, unless they alone exceed the limit."""
        size = _size(images)
        if size > self._limit:
            return
        with self._lock:
            if digest in self._held:
                return
            while self._bytes + size > self._limit:
                self._drop()
            self._held[digest] = images
            self._order.append(digest)
            self._bytes += size

    def _drop(self) -> None:
        place = random.randrange(len(self._order))  # noqa: S311
        self._order[place], self._order[-1] = self._order[-1], self._order[place]
        self._bytes -= _size(self._held.pop(self._order.pop()))


def _size(images: Images) -> int:
    return sum(image.nbytes for image in images)
