"""Splits items so that validation and test hold classes that training never shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from siamese.errors import SiameseError
from siamese.manifests import Split
from siamese.params import ItemsParams
from siamese.similarity.data.items import RawItem, RawPair


def split_items(items: Sequence[RawItem], params: ItemsParams, where: str) -> list[Split]:
    """Returns the split of each item; the same items and seed always give the same.

    Raises:
        SiameseError: There are too few classes or groups to hold some out.
    """
    match params.split:
        case "item":
            units = [f"{item.class_name}\0{item.id}" for item in items]
        case "group":
            units = [item.group for item in items]
        case "class":
            units = [item.class_name for item in items]
    if params.split == "item":
        return _within_classes(items, params)
    names = sorted(set(units))
    order = np.random.default_rng(params.seed).permutation(len(names))
    least = 1 if params.split == "group" else 2
    val, test = (_count(share, len(names), least) for share in (params.val_share, params.test_share))
    if len(names) - val - test < least:
        nouns = "groups" if params.split == "group" else "classes"
        left = max(0, len(names) - val - test)
        what = f"has {len(names)} {nouns}: {val} for validation and {test} for the test leave {left} to learn from"
        fix = "give more classes, lower items.val_share and items.test_share, or set items.split=item"
        raise SiameseError(what, where=where, fix=fix)
    held: dict[str, Split] = {names[place]: "test" for place in order[:test]}
    held |= {names[place]: "val" for place in order[test : test + val]}
    return [held.get(unit, "train") for unit in units]


def _count(share: float, names: int, least: int) -> int:
    return max(least, round(share * names)) if share else 0


def _within_classes(items: Sequence[RawItem], params: ItemsParams) -> list[Split]:
    """Holds out a share of each class's items, at least two where it has enough; never the last two."""
    rng = np.random.default_rng(params.seed)
    found: list[Split] = ["train"] * len(items)
    places: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        places.setdefault(item.class_name, []).append(place)
    for name in sorted(places):
        own = rng.permutation(places[name])
        held: tuple[tuple[Split, float], ...] = (("test", params.test_share), ("val", params.val_share))
        start = 0
        for split, share in held:
            count = min(_count(share, len(own), 2), max(0, len(own) - start - 2))
            for place in own[start : start + count]:
                found[place] = split
            start += count
    return found


def joined_classes(
    items: Sequence[RawItem], pairs: Sequence[RawPair]
) -> tuple[list[RawItem], list[RawPair], list[tuple[str, str]]]:
    """Gives items of listed pairs their classes: those that pairs call the same, directly or through others.

    Returns:
        The items with classes, the pairs that do not contradict them, and id and reason of those that do.
    """
    parent = {item.id: item.id for item in items}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for pair in pairs:
        if pair.same:
            first, second = sorted((root(pair.a), root(pair.b)))
            parent[second] = first
    classed = [RawItem(item.id, root(item.id), item.payload, item.group, item.branch, item.forged) for item in items]
    kept, refused = [], []
    for pair in pairs:
        if not pair.same and root(pair.a) == root(pair.b):
            refused.append((f"{pair.a} | {pair.b}", "is said to differ, but other pairs make both the same"))
        else:
            kept.append(pair)
    return classed, kept, refused
