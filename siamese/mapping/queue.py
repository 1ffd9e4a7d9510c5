"""Decides in which order scenes are mapped: new disasters before the archive."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime

from siamese.ingest.catalog import Scene

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def in_order_of_need(
    scenes: Iterable[Scene],
    mapped: Collection[str],
    written: Mapping[str, datetime],
    event_of: Callable[[Scene], str] = lambda scene: scene.scene,
) -> list[Scene]:
    """Sorts scenes: those without any map first, and within both groups the most recent arrivals first.

    Args:
        scenes: The scenes.
        mapped: Names of events that have a map, possibly by an older model.
        written: Time when each object of raw storage was written, by address.
        event_of: Names the event whose map shows a scene: by default its own.
    """

    def arrived(scene: Scene) -> datetime:
        images = (image for image in (scene.pre_image, scene.post_image) if image)
        return max((written.get(image.uri, _LONG_AGO) for image in images), default=_LONG_AGO)

    newest_first = sorted(scenes, key=arrived, reverse=True)
    return sorted(newest_first, key=lambda scene: event_of(scene) in mapped)
