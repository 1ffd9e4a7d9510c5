"""Default names of events, chosen so that two places never share a name by accident."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import quote

from siamese.errors import SiameseError
from siamese.geo.globe import mean_place, outline, to_degrees
from siamese.mapping.grid import Grid
from siamese.mapping.inputs import FoundImage

_XBD: Final = re.compile(r"(?P<scene>[a-z0-9-]+_\d{8})_(pre|post)_disaster")
_SCENE: Final = re.compile(r"[a-z0-9-]+_\d{8}")
_PART: Final = re.compile(r"(?P<disaster>.+)_\d+\.\d{4}[NS]_\d+\.\d{4}[EW]")
_LONGEST: Final = 240
"""Bytes of a name as part of an address: with its suffix it is the name of a file on servers that keep objects so."""
_DIGITS: Final = 4
"""Decimal digits of degrees: about ten metres, so that maps that do not overlap have different names."""


def check_event(name: str) -> None:
    """Refuses a name that cannot name a map, before any work is done.

    Raises:
        SiameseError: It is blank, too long, or has line breaks or other control characters.
    """
    fix = "choose a short name, such as that of the disaster and the place"
    if not name.strip():
        raise SiameseError("the name is blank", where="--event", fix=fix)
    if not name.isprintable():
        raise SiameseError("the name has control characters", where=f"--event {name!r}", fix=fix)
    if len(quote(name, safe="")) > _LONGEST:
        raise SiameseError(f"the name is too long: {len(name)} letters", where=f"--event {name[:40]}…", fix=fix)


def xbd_scene(name: str) -> str | None:
    """Returns the xBD scene in an image's name, e.g. ``joplin-tornado_00000001``; None if it is not in xBD's form."""
    named = _XBD.fullmatch(PurePosixPath(name.replace("\\", "/")).stem)
    return named["scene"] if named else None


def scene_of(names: Sequence[str], event: str) -> str | None:
    """Returns the xBD scene that a map shows, from the names of its images of one date, or of its event; or None."""
    found = [_XBD.fullmatch(PurePosixPath(name.replace("\\", "/")).stem) for name in names]
    if len(found) == 1 and found[0]:
        return found[0]["scene"]
    return event if _SCENE.fullmatch(event) else None


def disaster_of(event: str) -> str:
    """Returns the disaster of an event that is named like a scene of it or like a part; others are disasters."""
    part = _PART.fullmatch(event)
    if part:
        return part["disaster"]
    return event.rpartition("_")[0] if _SCENE.fullmatch(event) else event


def place_name(lng: float, lat: float) -> str:
    """Returns a place in degrees as part of a name, e.g. ``37.0627N_94.5061W``."""
    return f"{abs(lat):.{_DIGITS}f}{'N' if lat >= 0 else 'S'}_{abs(lng):.{_DIGITS}f}{'E' if lng >= 0 else 'W'}"


def place_event(first: FoundImage, grid: Grid) -> str:
    """Returns an event name derived from the map's location.

    Args:
        first: The first pre image.
        grid: The map's grid.

    Returns:
        Latitude and longitude of the middle, e.g. ``37.0627N_94.5061W``; without georeference the beginning of the
        image's hash, e.g. ``pixels-1f0c23ab``.
    """
    if grid.crs is None:
        return f"pixels-{hashlib.sha256(first.identity.encode()).hexdigest()[:8]}"
    return place_name(*mean_place(to_degrees(outline(grid.transform, grid.width, grid.height), grid.crs)))
