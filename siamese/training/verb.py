"""The verb ``train``: from a pair set to a trained network, resumable after any interruption."""

from __future__ import annotations

from functools import partial

from siamese.manifests import Checkpoint, PairSet, Pretraining
from siamese.params import NetworkParams, TrainingParams
from siamese.store import ObjectStore
from siamese.training.stage import CHECKPOINT
from siamese.training.task import DamageTask, plan_training


def train(
    pairs: PairSet,
    network: NetworkParams,
    params: TrainingParams,
    store: ObjectStore,
    *,
    parent: Checkpoint | Pretraining | None = None,
    reuse_older: bool = False,
) -> Checkpoint:
    """Trains a network; returns at once if it is already published, and resumes from its last state if interrupted.

    Args:
        pairs: The published pair set.
        network: The network to train.
        params: How to train it. With ``minutes``, the amount of training depends on the machine's speed; without, the
            same seed gives the same weights on the same machine, however often the run was interrupted.
        store: Where to publish.
        parent: What to start from. From a model, every tensor whose name and shape match is taken. It may also be a
            pre-trained encoder. None starts from ImageNet weights, or from random ones.
        reuse_older: Whether to use the result of an earlier version of this stage, if any, instead of training anew.

    Returns:
        The published checkpoint: averaged weights (of the last epoch, or of the best by ``keep``), with the decision
        fitted on the validation split.

    Raises:
        SiameseError: There is nothing to train on, the network cannot be built, the parent has another encoder, the
            loss is not a number, or the run was asked to stop (its state is kept).
    """
    if reuse_older and (found := CHECKPOINT.find(store, plan_training(pairs, network, params, parent), older=True)):
        return found
    from siamese.learning.engine import learn  # imports Lightning, which only a training run needs

    return learn(partial(DamageTask, pairs, network, params, parent), store)
