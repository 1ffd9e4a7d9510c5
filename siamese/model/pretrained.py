"""Loads encoders published by ``siamese pretrain``."""

from __future__ import annotations

from torch import Tensor

from siamese.manifests import Pretraining
from siamese.model.encoders import Encoder
from siamese.model.weights import assign, deserialize
from siamese.store import ObjectStore


def load_pretrained(store: ObjectStore, pretraining: Pretraining) -> dict[str, Tensor]:
    """Returns the weights of a pre-trained encoder, checked by sha256 and named as in ``Encoder.state_dict()``.

    Raises:
        SiameseError: The object is missing or differs from what was published.
    """
    return deserialize(pretraining.weights.read(store), pretraining.weights.uri)


def start_from(encoder: Encoder, store: ObjectStore, pretraining: Pretraining) -> str:
    """Initialises an encoder with the weights of a pre-trained one.

    Returns:
        Where the weights came from: ``"pretraining (<method> <digest>)"``.

    Raises:
        SiameseError: The weights belong to another encoder, or differ from what was published.
    """
    assign(encoder, load_pretrained(store, pretraining), pretraining.weights.uri)
    return f"pretraining ({pretraining.method} {pretraining.digest})"
