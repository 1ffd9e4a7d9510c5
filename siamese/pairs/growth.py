"""Extends existing splits to new neighbouring scenes; scenes between two splits are left out."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from siamese.manifests import Split
from siamese.pairs.groups import Candidate, near


@dataclass(frozen=True, slots=True)
class Grown:
    """The splits that follow from every known scene keeping its split."""

    splits: dict[str, Split]
    """Split of each known scene, and of new ones next to them."""
    between: frozenset[str]
    """New scenes next to two splits, which in either would show ground of the other."""


def grow(candidates: Sequence[Candidate], known: Mapping[str, Split], gap: float) -> Grown:
    """Spreads splits from known scenes to their new neighbours, and on to the neighbours of those.

    The nearest scenes come first. A scene that would touch, share an image with, or be a twin of scenes of two splits
    is left out, and nothing spreads through it: of a chain of new tiles between two splits only the tile where they
    meet is lost.

    Args:
        candidates: Scenes, in an order that does not depend on the catalog's.
        known: The split of each scene that ever had one.
        gap: As for :func:`siamese.pairs.groups.neighbourhoods`.

    Returns:
        The result; scenes in neither of its two fields are not neighbours of any scene in a split.
    """
    splits = {one.scene: known[one.scene] for one in candidates if one.scene in known}
    between: set[str] = set()
    around = _Surroundings(candidates, gap) if splits else None
    queue = deque(position for position, one in enumerate(candidates) if one.scene in splits)
    queued = set(queue)
    while around and queue:
        position = queue.popleft()
        scene = candidates[position].scene
        if scene not in splits:
            touched = around.splits(position)
            if len(touched) > 1:
                between.add(scene)
                continue
            splits[scene] = touched.pop()
        fresh = [one for one in around.settle(position, splits[scene]) if one not in queued]
        queue.extend(dict.fromkeys(fresh))
        queued.update(fresh)
    return Grown(splits, frozenset(between))


class _Surroundings:
    """Tracks which splits surround a scene while scenes are assigned one by one."""

    def __init__(self, candidates: Sequence[Candidate], gap: float) -> None:
        self._images = [candidate.marks for candidate in candidates]
        self._beside: defaultdict[int, list[int]] = defaultdict(list)
        for one, other in near(candidates, gap):
            self._beside[one].append(other)
            self._beside[other].append(one)
        self._holders: defaultdict[str, list[int]] = defaultdict(list)
        for position, images in enumerate(self._images):
            for image in images:
                self._holders[image].append(position)
        self._settled: dict[int, Split] = {}
        self._shown: defaultdict[str, set[Split]] = defaultdict(set)

    def splits(self, position: int) -> set[Split]:
        """Returns the splits of assigned scenes that are next to this one or share an image with it."""
        beside = {self._settled[other] for other in self._beside[position] if other in self._settled}
        return beside.union(*(self._shown[image] for image in self._images[position]))

    def settle(self, position: int, split: Split) -> list[int]:
        """Records a scene's split and returns the scenes that this affects."""
        self._settled[position] = split
        concerned = list(self._beside[position])
        for image in self._images[position]:
            # Propagated only once, so that the work is linear in the number of scenes that share an image.
            concerned += self._holders[image] if not self._shown[image] else []
            self._shown[image].add(split)
        return concerned
