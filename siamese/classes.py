"""The damage classes of xBD: their names, numbers and colours, defined once for the whole project."""

from __future__ import annotations

from typing import Final

BACKGROUND: Final = 0
UNCLASSIFIED: Final = 255
"""Mask value of a building whose damage nobody could tell; ignored in training."""

DAMAGE_CLASSES: Final = ("no_damage", "minor_damage", "major_damage", "destroyed")
"""Damage classes in order of severity; class ``k`` has mask value ``k + 1``."""

SUBTYPES: Final = {
    "no-damage": 1,
    "minor-damage": 2,
    "major-damage": 3,
    "destroyed": 4,
    "un-classified": UNCLASSIFIED,
}
"""Mask value of each ``subtype`` that an xBD label may carry."""

COLOURS: Final = {
    "no_damage": (47, 127, 193),
    "minor_damage": (255, 225, 77),
    "major_damage": (245, 130, 32),
    "destroyed": (163, 0, 79),
    "unknown": (154, 163, 171),
}
"""RGB of each class in pictures and maps, which people with any colour vision tell apart; the page has the same."""

DISASTER_TYPES: Final = ("unknown", "earthquake", "fire", "flooding", "tsunami", "volcano", "wind")
"""What struck, as xBD's metadata names it; a network takes its position in this list, 0 where nobody said."""


def disaster_number(disaster_type: str | None) -> int:
    """Position of a disaster type in :data:`DISASTER_TYPES`; 0 of one that is not in it."""
    return DISASTER_TYPES.index(disaster_type) if disaster_type in DISASTER_TYPES else 0
