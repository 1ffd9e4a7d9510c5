"""The verb ``train``: a pair set to a trained network, resumable after any interruption."""

from __future__ import annotations

from functools import partial

from siamese.learning.engine import learn
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
    """Trains a network; if that is done already, returns it at once; if it was cut off, goes on from its last state.

    Args:
        pairs: What ``pairs`` published.
        network: Which network.
        params: How it is trained. With ``minutes``, how much is learned depends on the machine's speed; without,
            the same seed gives the same weights on the same machine, however often the run was cut off.
        store: Where to.
        parent: What to start from. A model: every tensor of it whose name and shape fit is taken. A pre-trained
            encoder. None starts from ImageNet weights, or from random ones.
        reuse_older: Take the result of an earlier version of this stage, if there is one, instead of a new one.

    Returns:
        The published checkpoint: averaged weights (of the last epoch, or of the best by ``keep``), with the decision
        fitted on the validation split.

    Raises:
        SiameseError: There is nothing to train on, the network cannot be built, the parent has another encoder, the
            loss is not a number, or the run was asked to stop (its state is kept).
    """
    if reuse_older and (found := CHECKPOINT.find(store, plan_training(pairs, network, params, parent), older=True)):
        return found
    return learn(partial(DamageTask, pairs, network, params, parent), store)
