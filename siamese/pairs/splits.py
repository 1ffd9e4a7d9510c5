"""Assigns scenes to the splits train, val and test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from siamese.errors import SiameseError
from siamese.manifests import Split
from siamese.pairs.balance import share_out
from siamese.pairs.groups import Candidate, neighbourhoods
from siamese.pairs.growth import grow
from siamese.params.pairs import PairsParams

SPLITS: tuple[Split, ...] = ("train", "val", "test")
UNLABELLED: Split = "unlabelled"
"""Scenes without labels, in pair sets that include them."""
_FOLD_ABSENT = 8.0
"""Cost of a fold that lacks an event or a class, as of a test split."""
_OFFICIAL: dict[str | None, Split] = {"train": "train", "tier3": "train", "hold": "val", "test": "test"}
_HELD_FOLDERS = ("hold", "test")
_STAYS: tuple[Split, ...] = ("train", "test", "val")
"""Of twins in several splits, those in the first of these stay."""


def assign_splits(
    candidates: Sequence[Candidate], params: PairsParams, known: Mapping[str, Split] | None = None
) -> dict[str, Split]:
    """Assigns every scene to a split; the result depends on the scenes and params only, not on their order.

    Known scenes and events keep their split, except that ``official`` follows folders and named events go where they
    are named. New scenes take the split of their neighbours or of their event; isolated ones are distributed so that
    all scenes together, known and new, come close to the shares.

    Args:
        candidates: Accepted scenes.
        params: ``split`` selects the method:

            - ``official``: train and tier3 are train, hold is val, test is test.
            - ``event``: whole disasters are held out, either named ones or ones chosen by share.
            - ``scene``: groups of neighbours are distributed by share of scenes and of every class.
            - ``fold``: cross-validation. Groups of neighbours are distributed over ``folds`` parts of similar scenes,
              events and classes; part ``fold`` is test, or ``test_events`` where they are named. A share of the rest
              is val. Known splits are ignored, so that each scene is tested in one fold only.
        known: The split of each scene that has one from before; it may include other scenes too.

    Returns:
        Split by scene. With ``scene``, new scenes between two splits are left out. Twins of scenes that stay in another
        split are left out too: of two in train and a held-out split the held-out one, of val and test that in val.

    Raises:
        SiameseError: There are no scenes, a split would be empty although its share is not 0, scenes are in no
            official split, or an event is unknown.
    """
    ordered, known = sorted(candidates, key=lambda candidate: candidate.scene), known or {}
    if not ordered:
        fix = "bring labelled scenes; `siamese ingest` counts those without labels, and says why others were refused"
        raise SiameseError("holds no scene with labels of its own", where="catalog", fix=fix)
    match params.split:
        case "official":
            splits = _official(ordered)
        case "event":
            splits = _by_event(ordered, params, known)
        case "scene":
            splits = _by_scene(ordered, params, known)
        case "fold":
            splits = _by_fold(ordered, params)
    return _none_empty(_without_straddling_twins(ordered, splits), params, known)


def learnable_unlabelled(
    unlabelled: Sequence[Candidate], labelled: Sequence[Candidate], params: PairsParams, splits: Mapping[str, Split]
) -> tuple[str, ...]:
    """Selects scenes without labels that show no held-out ground.

    Args:
        unlabelled: Scenes without labels.
        labelled: Accepted scenes.
        params: How the accepted scenes were split.
        splits: Split of the accepted scenes, and of all scenes that ever had one.

    Returns:
        Names of the selected scenes, excluding those that were held out before, touch a held-out scene, or are in its
        event (``split: event``, named events) or in an official folder for validation or test.
    """
    held = {scene for scene, split in splits.items() if split != "train"}
    events = {*params.val_events, *params.test_events}
    if params.split == "event":
        events |= {one.disaster for one in labelled if one.scene in held}
    everyone = [*labelled, *unlabelled]
    free = [
        everyone[position]
        for group in neighbourhoods(everyone, params.neighbour_gap)
        if not any(everyone[position].scene in held for position in group)
        for position in group
        if position >= len(labelled)
    ]
    return tuple(sorted(one.scene for one in free if one.disaster not in events and one.official not in _HELD_FOLDERS))


def _official(candidates: Sequence[Candidate]) -> dict[str, Split]:
    strays = [candidate.scene for candidate in candidates if candidate.official not in _OFFICIAL]
    if strays:
        what = f"{len(strays)} of {len(candidates)} scenes lie in no official split, such as {strays[0]}"
        fix = "keep scenes under train/, tier3/, hold/ and test/, or set pairs.split to scene or event"
        raise SiameseError(what, where="pairs.split: official", fix=fix)
    return {candidate.scene: _OFFICIAL[candidate.official] for candidate in candidates}


def _by_event(candidates: Sequence[Candidate], params: PairsParams, known: Mapping[str, Split]) -> dict[str, Split]:
    events: dict[str, list[int]] = {}
    for position, candidate in enumerate(candidates):
        events.setdefault(candidate.disaster, []).append(position)
    named: dict[str, Split] = dict.fromkeys(params.val_events, "val")
    named.update(dict.fromkeys(params.test_events, "test"))
    _check_events(named, events, params)
    # A split whose events are named takes no others.
    shares = _shares(params, val=not params.val_events, test=not params.test_events)
    kept = {one.disaster: known[one.scene] for one in candidates if one.scene in known and one.disaster not in named}
    settled = named | kept
    free = {event: group for event, group in events.items() if event not in settled}
    given = [(one, kept[one.disaster]) for one in candidates if one.disaster in kept]
    chosen = _share_out(candidates, list(free.values()), shares, params.seed, given)
    by_event = settled | dict(zip(free, chosen, strict=True))
    return {candidate.scene: by_event[candidate.disaster] for candidate in candidates}


def _check_events(named: Iterable[str], events: Iterable[str], params: PairsParams) -> None:
    unknown = sorted(set(named) - set(events))
    if unknown:
        fix = f"there are {', '.join(events)}"
        raise SiameseError(f"no such event: {', '.join(unknown)}", where=f"pairs.split: {params.split}", fix=fix)


def _by_scene(candidates: Sequence[Candidate], params: PairsParams, known: Mapping[str, Split]) -> dict[str, Split]:
    grown = grow(candidates, known, params.neighbour_gap)
    alone = [one for one in candidates if one.scene not in grown.splits and one.scene not in grown.between]
    groups = neighbourhoods(alone, params.neighbour_gap)
    spread = params.unplaced == "spread"
    placed = [group for group in groups if spread or _place_known(alone, group)]
    given = [
        (one, grown.splits[one.scene])
        for one in candidates
        if one.scene in grown.splits and (spread or one.bounds is not None)
    ]
    chosen = _share_out(alone, placed, _shares(params), params.seed, given)
    splits: dict[str, Split] = grown.splits | dict.fromkeys((candidate.scene for candidate in alone), "train")
    for group, split in zip(placed, chosen, strict=True):
        splits |= {alone[position].scene: split for position in group}
    return splits


def _by_fold(candidates: Sequence[Candidate], params: PairsParams) -> dict[str, Split]:
    named, spread = frozenset(params.test_events), params.unplaced == "spread"
    _check_events(named, dict.fromkeys(one.disaster for one in candidates), params)
    groups = neighbourhoods(candidates, params.neighbour_gap)
    placed = [group for group in groups if spread or _place_known(candidates, group)]
    if named:
        tested = [group for group in groups if any(candidates[position].disaster in named for position in group)]
    else:
        tested = _fold(candidates, placed, params)
    held = {group[0] for group in tested}
    rest = [group for group in placed if group[0] not in held]
    chosen = _share_out(candidates, rest, (1 - params.val_share, params.val_share, 0.0), params.seed, ())
    by_group: dict[int, Split] = dict.fromkeys((group[0] for group in groups), "train")
    by_group |= dict(zip((group[0] for group in rest), chosen, strict=True))
    by_group |= dict.fromkeys(held, "test")
    # A neighbour of a named event shows ground that is tested, so it is in no split.
    return {
        candidates[position].scene: by_group[group[0]]
        for group in groups
        for position in group
        if group[0] not in held or not named or candidates[position].disaster in named
    }


def _fold(candidates: Sequence[Candidate], groups: Sequence[list[int]], params: PairsParams) -> list[list[int]]:
    """Returns the groups of one of several parts of similar size, events and classes."""
    events = sorted({one.disaster for one in candidates})
    rows = []
    for group in groups:
        members = [candidates[position] for position in group]
        rows.append([*_features(members), *(sum(one.disaster == event for one in members) for event in events)])
    shares, absent = [1 / params.folds] * params.folds, [_FOLD_ABSENT] * params.folds
    chosen = share_out(np.array(rows, float).reshape(len(groups), -1), shares, params.seed, absent=absent)
    return [group for group, fold in zip(groups, chosen, strict=True) if fold == params.fold]


def _place_known(candidates: Sequence[Candidate], group: Sequence[int]) -> bool:
    return any(candidates[position].bounds is not None for position in group)


def _shares(params: PairsParams, *, val: bool = True, test: bool = True) -> tuple[float, float, float]:
    held_out = (params.val_share if val else 0.0, params.test_share if test else 0.0)
    return (1.0 - sum(held_out), *held_out)


def _share_out(
    candidates: Sequence[Candidate],
    groups: Sequence[Sequence[int]],
    shares: tuple[float, float, float],
    seed: int,
    given: Iterable[tuple[Candidate, Split]],
) -> list[Split]:
    if not groups:
        return []
    rows = np.array([_features([candidates[position] for position in group]) for group in groups], float)
    held = np.zeros((len(SPLITS), rows.shape[1]))
    for candidate, split in given:
        # Scenes of a split without a share, such as one whose events are named, do not count in the distribution.
        if shares[SPLITS.index(split)] > 0:
            held[SPLITS.index(split)] += _features([candidate])
    return [SPLITS[number] for number in share_out(rows, shares, seed, held)]


def _features(group: Sequence[Candidate]) -> list[int]:
    """Returns the numbers of scenes, of scenes without buildings, and of buildings of each class."""
    empty = sum(not any(candidate.buildings) for candidate in group)
    return [len(group), empty, *np.sum([candidate.buildings for candidate in group], axis=0).tolist()]


def _without_straddling_twins(candidates: Sequence[Candidate], splits: dict[str, Split]) -> dict[str, Split]:
    """Leaves out scenes whose twins are in another split, where known splits, folders or named events part them."""
    held: dict[str, set[Split]] = {}
    for one in candidates:
        if one.twins is not None and one.scene in splits:
            held.setdefault(one.twins, set()).add(splits[one.scene])
    stays = {twins: next(split for split in _STAYS if split in found) for twins, found in held.items()}
    group = {one.scene: one.twins for one in candidates if one.twins is not None}
    return {scene: split for scene, split in splits.items() if scene not in group or stays[group[scene]] == split}


def _none_empty(splits: dict[str, Split], params: PairsParams, known: Mapping[str, Split]) -> dict[str, Split]:
    test_share = 1 / params.folds if params.split == "fold" else params.test_share
    wanted = {"train": 1.0, "val": params.val_share, "test": test_share}
    empty = [split for split in SPLITS if wanted[split] > 0 and split not in splits.values()]
    if empty:
        what, where = f"{' and '.join(empty)} would hold no scene", f"pairs.split: {params.split}"
        again = "set pairs.keep_splits to false to share out all anew, or " if known else ""
        raise SiameseError(what, where=where, fix=again + _REMEDY[params.split])
    return splits


_REMEDY = {
    "official": "bring scenes of that split, set its share in pairs to 0, or set pairs.split to scene or event",
    "event": "there are too few events: name fewer, set a share in pairs to 0, or set pairs.split to scene",
    "scene": "there are too few groups of scenes that are not neighbours and whose place is known: bring more scenes, "
    "lower pairs.neighbour_gap, set pairs.unplaced to spread, set a share to 0, or set pairs.split to event",
    "fold": "there are too few groups of scenes that are not neighbours and whose place is known: bring more scenes, "
    "lower pairs.folds or pairs.neighbour_gap, or set pairs.unplaced to spread",
}
