"""In which order scenes are mapped: new disasters before the archive."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

from siamese.ingest.catalog import Scene

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def in_order_of_need(scenes: Iterable[Scene], mapped: Collection[str], written: Mapping[str, datetime]) -> list[Scene]:
    """Scenes without any map first, then the others; within both, those whose images arrived last come first.

    Args:
        scenes: The scenes.
        mapped: Names of those that have a map, be it of an older model.
        written: When an object of raw storage was written, by its address.
    """

    def arrived(scene: Scene) -> datetime:
        images = (image for image in (scene.pre_image, scene.post_image) if image)
        return max((written.get(image.uri, _LONG_AGO) for image in images), default=_LONG_AGO)

    newest_first = sorted(scenes, key=arrived, reverse=True)
    return sorted(newest_first, key=lambda scene: scene.scene in mapped)
