"""Training as a separate flow, so that it runs on a worker of the ``gpu`` pool."""

from __future__ import annotations

from prefect import flow

from flows.steps import Overrides, begin_run, join_run, step
from siamese.manifests import PairSet
from siamese.runs import publish_outcome


def training_work(pairs: str, parent: str | None) -> dict[str, str | None]:
    """Returns the inputs that identify a training run within a flow run."""
    return {"verb": "train", "pairs": pairs, "parent": parent}


@step
def train_network(run: str, pairs: str, parent: str | None = None) -> str:
    """Trains on a PairSet, resuming from saved state if there is any; returns the Checkpoint's digest."""
    from siamese.registry import resolve_model
    from siamese.training import train

    store, params = join_run(run)
    start = resolve_model(parent, store) if parent else None
    checkpoint = train(
        PairSet.load(store, pairs),
        params.network,
        params.training,
        store,
        parent=start,
        reuse_older=not params.runs.redo_older,
    )
    checkpoint.mark_latest(store)
    return publish_outcome(run, training_work(pairs, parent), checkpoint.digest, store)


@flow(name="train", persist_result=False)
def train_flow(
    pairs: str, overrides: Overrides | None = None, parent: str | None = None, run: str | None = None
) -> str:
    """Trains a network on a PairSet.

    Args:
        pairs: Digest of the PairSet.
        overrides: Changes to the published params for this run, e.g. ``{"training.minutes": 15}``.
        parent: Model to start from, e.g. ``models:/siamese-damage@champion`` or a Checkpoint's digest.
        run: Digest of a RunSpecification to use instead of overrides; ``retrain`` passes its own.

    Returns:
        Digest of the Checkpoint.
    """
    return train_network(begin_run(overrides, run=run), pairs, parent)
