"""Training as a flow of its own, so that it runs on a worker of the ``gpu`` pool."""

from __future__ import annotations

from prefect import flow

from flows.steps import Overrides, read_params, step
from siamese.manifests import PairSet
from siamese.registry import resolve_model
from siamese.store import ObjectStore
from siamese.training import train


@step
def train_network(pairs: str, overrides: Overrides, parent: str | None = None) -> str:
    """Trains on a PairSet, going on from the last checkpoint if there is one; gives the Checkpoint's digest."""
    store, params = ObjectStore(), read_params(overrides)
    start = resolve_model(parent, store) if parent else None
    checkpoint = train(PairSet.load(store, pairs), params.network, params.training, store, parent=start)
    checkpoint.mark_latest(store)
    return checkpoint.digest


@flow(name="train", persist_result=False)
def train_flow(pairs: str, overrides: Overrides | None = None, parent: str | None = None) -> str:
    """Trains the network.

    Args:
        pairs: Digest of the PairSet.
        overrides: What this run changes of params.yaml, e.g. ``{"training.minutes": 15}``.
        parent: Model to start from, e.g. ``models:/siamese-damage@champion`` or a Checkpoint's digest.

    Returns:
        Digest of the Checkpoint.
    """
    return train_network(pairs, overrides or {}, parent)
