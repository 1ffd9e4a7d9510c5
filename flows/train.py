"""Training as a flow of its own, so that it runs on a worker of the ``gpu`` pool."""

from __future__ import annotations

from prefect import flow

from flows.steps import Overrides, begin_run, join_run, step
from siamese.manifests import PairSet
from siamese.registry import resolve_model
from siamese.runs import publish_outcome
from siamese.training import train


def training_work(pairs: str, parent: str | None) -> dict[str, str | None]:
    """What names a training run within a run: its inputs."""
    return {"verb": "train", "pairs": pairs, "parent": parent}


@step
def train_network(run: str, pairs: str, parent: str | None = None) -> str:
    """Trains on a PairSet, going on from the last checkpoint if there is one; gives the Checkpoint's digest."""
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
    """Trains the network.

    Args:
        pairs: Digest of the PairSet.
        overrides: What this run changes of the published params, e.g. ``{"training.minutes": 15}``.
        parent: Model to start from, e.g. ``models:/siamese-damage@champion`` or a Checkpoint's digest.
        run: Digest of the RunSpecification to work by, instead of overrides; ``retrain`` gives its own.

    Returns:
        Digest of the Checkpoint.
    """
    return train_network(begin_run(overrides, run=run), pairs, parent)
