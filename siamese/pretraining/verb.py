"""The verb ``pretrain``: from the images of a pair set to an encoder, resumable after any interruption."""

from __future__ import annotations

from functools import partial

from siamese.manifests import PairSet, Pretraining
from siamese.params import NetworkParams, PretrainingParams
from siamese.pretraining.task import SelfSupervisedTask
from siamese.store import ObjectStore


def pretrain(pairs: PairSet, network: NetworkParams, params: PretrainingParams, store: ObjectStore) -> Pretraining:
    """Pre-trains an encoder; returns at once if already published, and resumes from its last state if interrupted.

    It learns from the images of the train split, and of the unlabelled scenes of a pair set that was made with
    ``pairs.unlabelled``; never from labels, nor from the images of the validation and test splits.

    Args:
        pairs: The published pair set.
        network: Gives the encoder, its bands (of the pre image), and whether to start from ImageNet weights; the rest
            is unused. Where the dates have different bands it learns from those that fit; for the encoder of the
            post image, give that one's name and bands here.
        params: The method, and how to train. With ``minutes``, the amount of training depends on the machine's speed;
            without, the same seed gives the same weights on the same machine, however often the run was interrupted.
        store: Where to publish.

    Returns:
        The published encoder. A collapsed one is published too, with a warning in the manifest and the log.

    Raises:
        SiameseError: There is nothing to learn from, the encoder is unknown or does not fit the views, the loss is not
            a number, or the run was asked to stop (its state is kept).
    """
    from siamese.learning.engine import learn  # imports Lightning, which only a training run needs

    return learn(partial(SelfSupervisedTask, pairs, network, params), store)
