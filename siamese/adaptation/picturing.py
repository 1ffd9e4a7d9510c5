"""The images below an adapted map's picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from siamese.embedding.reopening import map_parts, reopened
from siamese.errors import SiameseError
from siamese.manifests import DamageMap
from siamese.mapping.publish import BothDates
from siamese.store import ObjectStore


@contextmanager
def map_images(root: DamageMap, store: ObjectStore) -> Iterator[tuple[BothDates | None, tuple[str, ...]]]:
    """Opens a map's images; None and a warning where they are gone."""
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(reopened(map_parts(root, store), store))
        except SiameseError as error:
            yield None, (f"the picture shows no image: {error.what}",)
            return
        yield BothDates.of(opened), ()
