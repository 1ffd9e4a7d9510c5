"""New scenes beside scenes that have a split: they take that split, and between two splits they are left out."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from siamese.manifests import Split
from siamese.pairs.groups import Candidate, near


@dataclass(frozen=True, slots=True)
class Grown:
    """What is settled once every known scene has kept its split."""

    splits: dict[str, Split]
    """Of known scenes, and of new ones beside them."""
    between: frozenset[str]
    """New scenes beside two splits: in either they would show the other's ground."""


def grow(candidates: Sequence[Candidate], known: Mapping[str, Split], gap: float) -> Grown:
    """Lets splits spread from known scenes to their new neighbours, and on to the neighbours of those.

    The nearest go first. A scene that would touch, or show the same image as, scenes of two splits is left out, and
    nothing spreads through it: of a chain of new tiles that joins two splits only the tile where they meet is lost.

    Args:
        candidates: Scenes, in an order that does not depend on the catalog's.
        known: The split of each scene that ever had one.
        gap: As for :func:`siamese.pairs.groups.neighbourhoods`.

    Returns:
        Scenes that are in neither of its two fields are no neighbours of any that is in a split.
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
    """Which splits lie around a scene, as scenes are settled one by one."""

    def __init__(self, candidates: Sequence[Candidate], gap: float) -> None:
        self._images = [candidate.images for candidate in candidates]
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
        """Splits of settled scenes beside this one, or with an image of it."""
        beside = {self._settled[other] for other in self._beside[position] if other in self._settled}
        return beside.union(*(self._shown[image] for image in self._images[position]))

    def settle(self, position: int, split: Split) -> list[int]:
        """Notes a scene's split; gives the scenes that this concerns."""
        self._settled[position] = split
        concerned = list(self._beside[position])
        for image in self._images[position]:
            # Told once: however many scenes hold the same image, the work stays in step with their number.
            concerned += self._holders[image] if not self._shown[image] else []
            self._shown[image].add(split)
        return concerned
