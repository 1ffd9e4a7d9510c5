"""Checks whether a model was trained on scenes that it is now scored on."""

from __future__ import annotations

from siamese.manifests import Checkpoint, PairSet, Split
from siamese.pairs import read_splits
from siamese.store import ObjectStore


def seen_before(who: str, checkpoint: Checkpoint, pairs: PairSet, split: Split, store: ObjectStore) -> tuple[str, ...]:
    """Reports scenes of a split that were in the training or validation split of a checkpoint's own pair set.

    Pair sets of one source keep their splits, so this finds some only when the source, the seed or the split method
    differs. It reads two columns of two indexes, or nothing when the checkpoint was trained on this very pair set.

    Args:
        who: ``champion`` or ``candidate``.
        checkpoint: The checkpoint that is scored.
        pairs: The pair set that it is scored on.
        split: The split of that pair set.
        store: Holds the pair sets.

    Returns:
        A tuple with one reason for the ledger, or an empty one.

    Raises:
        SiameseError: An index differs from what was published.
    """
    if checkpoint.pairs == pairs.digest:
        return ()
    own = PairSet.find(store, checkpoint.pairs)
    if own is None:
        return (f"the {who}'s pair set is gone, so nobody can tell whether it was trained on {split} scenes",)
    trained_on = {scene for scene, held in read_splits(store, own).items() if held != "test"}
    scored_on = {scene for scene, held in read_splits(store, pairs).items() if held == split}
    seen = len(scored_on & trained_on)
    if not seen:
        return ()
    told = f"{seen} of {len(scored_on)} {split} scenes were in the {who}'s training data: its score is optimistic"
    return (told,)
