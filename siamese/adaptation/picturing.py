"""The image below an adapted map's picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import numpy as np

from siamese.embedding.reopening import map_parts, reopened
from siamese.errors import SiameseError
from siamese.manifests import DamageMap
from siamese.mapping.grid import Grid
from siamese.mapping.mosaic import Image
from siamese.mapping.picture import Readable
from siamese.store import ObjectStore

_PAPER: Final = 235


class Paper:
    """Plain ground, for a map whose images are gone."""

    def read(self, grid: Grid) -> tuple[Image, None]:
        """Returns light grey."""
        return np.full((grid.height, grid.width, 3), _PAPER, np.uint8), None


@contextmanager
def post_images(root: DamageMap, store: ObjectStore) -> Iterator[tuple[Readable, tuple[str, ...]]]:
    """Opens a map's images after the disaster; plain ground and a warning where they are gone."""
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(reopened(map_parts(root, store), store))
        except SiameseError as error:
            yield Paper(), (f"the picture shows no image: {error.what}",)
            return
        yield opened.post.mosaic, ()
