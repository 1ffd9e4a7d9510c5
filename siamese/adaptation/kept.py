"""Labels that people have handed in before: which of them are about a map, and in which order they count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from siamese.adaptation.labels import named
from siamese.adaptation.labelset import PlacedLabels
from siamese.errors import NotPublishedError
from siamese.manifests import DamageMap, LabelSet
from siamese.mapping.events import disaster_of, scene_of
from siamese.store import ObjectStore


def about(damage_map: DamageMap, sets: Iterable[LabelSet]) -> tuple[LabelSet, ...]:
    """Returns the label sets that may say something about a map: to learn from, and of the same disaster.

    Labels in pixels are only of use where the map shows the very scene that was labelled.
    """
    disaster, scene = disaster_of(damage_map.event), scene_of(damage_map.pre, damage_map.event)

    def is_about(one: LabelSet) -> bool:
        if one.purpose != "label" or disaster_of(one.event) != disaster:
            return False
        same = one.pre == damage_map.pre or (scene is not None and one.scene == scene)
        return one.crs is not None or same

    return tuple(one for one in sets if is_about(one))


def in_order(sets: Iterable[LabelSet], damage_map: DamageMap, store: ObjectStore) -> tuple[LabelSet, ...]:
    """Sorts label sets so that the one that counts most comes last: the one that a person handed in last.

    A set that was handed in twice was made the first time; the event's current map knows when it counted last.
    """
    try:
        known = DamageMap.current(store, damage_map.event).labels
    except NotPublishedError:
        known = ()
    found = {one.digest: one for one in sets}
    when: dict[str, datetime] = {}
    for digest in known:
        if digest in found:
            when[digest] = max((found[digest].made, *when.values()))
    ranks = {digest: rank for rank, digest in enumerate(known)}
    return tuple(
        sorted(found.values(), key=lambda one: (when.get(one.digest, one.made), ranks.get(one.digest, -1), one.digest))
    )


def left_out(labels: LabelSet, placed: PlacedLabels) -> Iterator[str]:
    """Yields one line for each reason why labels of a set are not used."""
    by = f"label set {labels.digest} by {labels.author}"
    if placed.lost:
        lie = "1 label lies" if placed.lost == 1 else f"{placed.lost:,} labels lie"
        yield f"{lie} on no building of the map and {'is' if placed.lost == 1 else 'are'} not used ({by})"
    if placed.torn:
        have = "1 building has" if len(placed.torn) == 1 else f"{len(placed.torn):,} buildings have"
        yield f"{have} labels of several classes, none of which is used: {named(placed.torn)} ({by})"
