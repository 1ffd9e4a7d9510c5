"""Which scenes of a catalog become one map: all of a disaster that are placed on the ground."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from siamese.errors import SiameseError
from siamese.ingest.catalog import Scene
from siamese.mapping.placing import Place

NOT_PLACED: Final = "has no georeference, so it is mapped on its own"


@dataclass(frozen=True)
class Disaster:
    """Scenes of one disaster that make up a mosaic."""

    name: str
    scenes: tuple[Scene, ...]
    """In order of their names; each has both images and a georeference."""

    @property
    def type(self) -> str | None:
        """What struck, as the scenes say; None if none of them does.

        Raises:
            SiameseError: They contradict each other.
        """
        told = sorted({scene.disaster_type for scene in self.scenes if scene.disaster_type})
        if len(told) > 1:
            fix = "correct the labels' metadata, or give disaster_type"
            raise SiameseError(f"its scenes name several disaster types: {', '.join(told)}", where=self.name, fix=fix)
        return told[0] if told else None


def place_of(scene: Scene) -> Place | None:
    """Returns the georeference of a scene; None if the catalog has none."""
    return (scene.crs, scene.affine) if scene.crs and scene.affine else None


def by_disaster(scenes: Iterable[Scene]) -> tuple[tuple[Disaster, ...], tuple[Scene, ...]]:
    """Groups scenes by disaster.

    Args:
        scenes: Scenes with both images, the most needed first.

    Returns:
        The disasters, the one with the most needed scene first; and the scenes that no mosaic can hold, since nobody
        knows where they lie.
    """
    groups: dict[str, list[Scene]] = {}
    alone = []
    for scene in scenes:
        if scene.disaster and place_of(scene):
            groups.setdefault(scene.disaster, []).append(scene)
        else:
            alone.append(scene)
    disasters = (Disaster(name, tuple(sorted(members, key=lambda one: one.scene))) for name, members in groups.items())
    return tuple(disasters), tuple(alone)
