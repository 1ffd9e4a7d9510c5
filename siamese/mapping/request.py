"""What a run is asked to map: imagery that is named, or scenes of the catalog, one by one or a disaster at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from siamese.classes import DISASTER_TYPES
from siamese.errors import SiameseError

Per = Literal["scene", "disaster"]
"""What becomes one map: a scene of the catalog, or all scenes of a disaster together."""


@dataclass(frozen=True)
class MapRequest:
    """What to map; checked before anything is read.

    Raises:
        SiameseError: Two of its parts contradict each other.
    """

    source: str | None = None
    """Prefix of the scenes; None: that of the params."""
    scenes: tuple[str, ...] | None = None
    """Only these scenes, by name."""
    per: Per = "scene"
    pre: tuple[str, ...] | None = None
    """Imagery before the disaster, in place of scenes."""
    post: tuple[str, ...] | None = None
    event: str | None = None
    """With imagery: what to call its map. Otherwise: only scenes of this disaster."""
    disaster_type: str | None = None
    disaster_date: date | None = None
    aoi: str | None = None
    footprints: str | None = None

    @property
    def names_imagery(self) -> bool:
        """Whether imagery was named, rather than scenes."""
        return self.pre is not None or self.post is not None

    def __post_init__(self) -> None:
        if self.disaster_type is not None and self.disaster_type not in DISASTER_TYPES:
            fix = f"one of {', '.join(DISASTER_TYPES)}"
            raise SiameseError("no such disaster type", where=f"disaster_type: {self.disaster_type}", fix=fix)
        if self.names_imagery:
            if not self.pre or not self.post:
                missing = "post" if self.pre else "pre"
                raise SiameseError(f"{missing} names no image", where="pre, post", fix="name images of both dates")
            both = {"source": self.source, "scenes": self.scenes, "per": self.per if self.per != "scene" else None}
            _refuse(both, "pre, post", "imagery was named, and scenes too", "leave either out")
            return
        alone = {"disaster_date": self.disaster_date}
        fix = "name imagery with pre and post"
        _refuse(alone, "", "is only for STAC catalogs that pre and post name", fix)
        if self.per == "disaster":
            fix = "leave them out, or use per: scene; event chooses one disaster"
            _refuse({"scenes": self.scenes}, "per: disaster", "a map of all scenes cannot leave some out", fix)
            return
        whole = {"disaster_type": self.disaster_type, "aoi": self.aoi, "footprints": self.footprints}
        fix = "use per: disaster, or name imagery with pre and post"
        _refuse(whole, "per: scene", "scenes that are mapped one by one take none of these", fix)


def _refuse(given: Mapping[str, object], where: str, what: str, fix: str) -> None:
    names = ", ".join(name for name, value in given.items() if value is not None)
    if names:
        raise SiameseError(what, where=f"{where}: {names}" if where else names, fix=fix)
