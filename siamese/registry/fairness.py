"""Was a model trained on what it is now scored on?"""

from __future__ import annotations

from siamese.manifests import Checkpoint, PairSet, Split
from siamese.pairs import read_splits
from siamese.store import ObjectStore


def seen_before(who: str, checkpoint: Checkpoint, pairs: PairSet, split: Split, store: ObjectStore) -> tuple[str, ...]:
    """Says plainly when scenes of a split were in the training or validation split of a checkpoint's own pair set.

    Pair sets of one source keep their splits, so this speaks only when the source, the seed or the way to split is
    another. It reads two columns of two indexes, and nothing when the checkpoint was trained on this very pair set.

    Args:
        who: ``champion`` or ``candidate``.
        checkpoint: What is scored.
        pairs: What it is scored on.
        split: Which part of that.
        store: Where the pair sets lie.

    Returns:
        A reason for the ledger, or none.

    Raises:
        SiameseError: An index is not what was published.
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
