"""Checks whether a model was trained on scenes that it is now scored on, or on changed copies of them."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from siamese.duplicates import known_twins, twins_between
from siamese.errors import NotPublishedError
from siamese.manifests import Checkpoint, PairSet, SceneCatalog, Split
from siamese.pairs import read_splits
from siamese.store import ObjectStore


def seen_before(who: str, checkpoint: Checkpoint, pairs: PairSet, split: Split, store: ObjectStore) -> tuple[str, ...]:
    """Reports scenes of a split that were in the training or validation split of a checkpoint's own pair set.

    Pair sets of one source keep their splits, so this finds some only when the source, the seed or the split method
    differs. Twins, which are flipped, cut or otherwise changed copies, are found where `siamese duplicates` or `pairs`
    has looked at the images; no image is read here.

    Args:
        who: ``champion`` or ``candidate``.
        checkpoint: The checkpoint that is scored.
        pairs: The pair set that it is scored on.
        split: The split of that pair set.
        store: Holds the pair sets.

    Returns:
        A tuple with a reason for the ledger about the same scenes and one about twins, as far as there are any.

    Raises:
        SiameseError: An index differs from what was published.
    """
    own = pairs if checkpoint.pairs == pairs.digest else PairSet.find(store, checkpoint.pairs)
    if own is None:
        return (f"the {who}'s pair set is gone, so nobody can tell whether it was trained on {split} scenes",)
    splits, scored = read_splits(store, own), read_splits(store, pairs)
    aside = {"test", split} if own is pairs else {"test"}
    trained_on = {scene for scene, held in splits.items() if held not in aside}
    scored_on = {scene for scene, held in scored.items() if held == split}
    seen = scored_on & trained_on
    twins = _twins(own, trained_on, pairs, scored_on, store) - seen
    reasons = []
    if seen:
        reasons.append(f"{len(seen)} of {len(scored_on)} {split} scenes were in the {who}'s training data")
    if twins:
        named = f"such as {min(twins)}" if len(twins) > 1 else min(twins)
        have = "have twins" if len(twins) > 1 else "has a twin"
        reasons.append(f"{len(twins)} of {len(scored_on)} {split} scenes, {named}, {have} in the {who}'s training data")
    return tuple(f"{reason}: its score is optimistic" for reason in reasons)


def _twins(
    own: PairSet, trained_on: AbstractSet[str], pairs: PairSet, scored_on: AbstractSet[str], store: ObjectStore
) -> AbstractSet[str]:
    """Returns the scored scenes that are changed copies of scenes trained on; empty where nobody looked at images."""
    try:
        theirs, ours = (SceneCatalog.load(store, one.origin.sources["catalog"]) for one in (own, pairs))
    except (NotPublishedError, KeyError):
        return frozenset()
    if theirs.content != ours.content:
        return twins_between((theirs, trained_on), (ours, scored_on), store)
    groups = known_twins(ours, store) or {}
    held = {groups[scene] for scene in trained_on if scene in groups}
    return {scene for scene in scored_on if groups.get(scene) in held}
