"""Statistics of a pair set per split and event: scenes, buildings and pixels of each class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from siamese.classes import SUBTYPES
from siamese.manifests import Split, SplitStatistics
from siamese.pairs.blocks import PIXEL_CLASSES
from siamese.pairs.splits import SPLITS, UNLABELLED
from siamese.tables import csv_bytes
from siamese.tables import read_csv as read_table

_ORDER = (*SPLITS, UNLABELLED)


@dataclass
class EventTally:
    """Counts of one event in one split."""

    split: Split
    disaster: str
    disaster_type: str
    scenes: int = 0
    scenes_without_buildings: int = 0
    buildings: Counter[str] = field(default_factory=Counter)
    """Buildings by xBD subtype."""
    pixels: Counter[str] = field(default_factory=Counter)
    """Pixels by :data:`PIXEL_CLASSES`."""


class Tally:
    """Accumulates statistics scene by scene."""

    def __init__(self) -> None:
        self._events: dict[tuple[Split, str], EventTally] = {}

    def add(
        self,
        split: Split,
        disaster: str,
        disaster_type: str,
        subtypes: Iterable[str],
        pixels: Iterable[tuple[int, ...]],
    ) -> None:
        """Counts one scene.

        Args:
            split: Split of the scene.
            disaster: Event of the scene.
            disaster_type: Type of the disaster.
            subtypes: Subtype of each building.
            pixels: Counts by :data:`PIXEL_CLASSES` for each block.
        """
        event = self._events.setdefault((split, disaster), EventTally(split, disaster, disaster_type))
        buildings = Counter(subtypes)
        event.scenes += 1
        event.scenes_without_buildings += not buildings
        event.buildings += buildings
        for counts in pixels:
            event.pixels.update(dict(zip(PIXEL_CLASSES, counts, strict=True)))

    def events(self) -> list[EventTally]:
        """Returns every event of every split, in order of split and name."""
        return [self._events[key] for key in sorted(self._events, key=lambda key: (_ORDER.index(key[0]), key[1]))]

    def by_split(self) -> dict[Split, SplitStatistics]:
        """Returns the sums of each split, including empty ones; unlabelled scenes are listed only if there are any."""
        events = self.events()
        held = _ORDER if any(event.split == UNLABELLED for event in events) else SPLITS
        return {split: _sum([event for event in events if event.split == split]) for split in held}


_COLUMNS = (
    *("split", "disaster", "disaster_type", "scenes", "scenes_without_buildings"),
    *(f"buildings_{subtype}" for subtype in SUBTYPES),
    *(f"pixels_{name}" for name in PIXEL_CLASSES),
)


def write_csv(events: Iterable[EventTally]) -> bytes:
    """Returns CSV with one line per split and event."""
    return csv_bytes(_COLUMNS, map(_row, events))


def _row(event: EventTally) -> tuple[object, ...]:
    head = (event.split, event.disaster, event.disaster_type, event.scenes, event.scenes_without_buildings)
    buildings = (event.buildings[subtype] for subtype in SUBTYPES)
    return (*head, *buildings, *(event.pixels[name] for name in PIXEL_CLASSES))


def read_csv(data: bytes) -> list[EventTally]:
    """Reads the CSV that :func:`write_csv` returns."""
    return [
        EventTally(
            row["split"],
            row["disaster"],
            row["disaster_type"],
            int(row["scenes"]),
            int(row["scenes_without_buildings"]),
            Counter({subtype: int(row[f"buildings_{subtype}"]) for subtype in SUBTYPES}),
            Counter({name: int(row[f"pixels_{name}"]) for name in PIXEL_CLASSES}),
        )
        for row in read_table(data).to_dict("records")
    ]


def _sum(events: list[EventTally]) -> SplitStatistics:
    return SplitStatistics(
        scenes=sum(event.scenes for event in events),
        buildings={subtype: sum(event.buildings[subtype] for event in events) for subtype in SUBTYPES},
        pixels={name: sum(event.pixels[name] for event in events) for name in PIXEL_CLASSES},
        events={event.disaster: event.scenes for event in events},
    )
