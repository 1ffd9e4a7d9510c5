"""The verb ``pretrain``: the images of a pair set to an encoder, resumable after any interruption."""

from __future__ import annotations

from functools import partial

from siamese.learning.engine import learn
from siamese.manifests import PairSet, Pretraining
from siamese.params import NetworkParams, PretrainingParams
from siamese.pretraining.task import SelfSupervisedTask
from siamese.store import ObjectStore


def pretrain(pairs: PairSet, network: NetworkParams, params: PretrainingParams, store: ObjectStore) -> Pretraining:
    """Pre-trains an encoder; if that is done already, returns it; if it was cut off, goes on from its last state.

    It learns from the images of the train split, and of the unlabelled scenes of a pair set that was made with
    ``pairs.unlabelled``; never from labels, nor from what validation and test show.

    Args:
        pairs: What ``pairs`` published.
        network: Names the encoder, its bands (of the pre image), and whether it starts from ImageNet weights; all else
            of it is not used. Where the dates have other bands it learns from those that fit; for the encoder of the
            post image give that one's name and bands here.
        params: The method, and how it learns. With ``minutes``, how much is learned depends on the machine's speed;
            without, the same seed gives the same weights on the same machine, however often it was cut off.
        store: Where to.

    Returns:
        The published encoder. One that collapsed is published too, with a warning in the manifest and the log.

    Raises:
        SiameseError: There is nothing to learn from, the encoder is unknown or does not fit the views, the loss is not
            a number, or it was asked to stop (its state is kept).
    """
    return learn(partial(SelfSupervisedTask, pairs, network, params), store)
