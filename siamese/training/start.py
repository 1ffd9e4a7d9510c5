"""The initial weights of a training run: another model's, ImageNet's, or random ones."""

from __future__ import annotations

import torch

from siamese.errors import SiameseError
from siamese.learning.transfer import take_over
from siamese.manifests import Checkpoint, Pretraining
from siamese.model import SiameseUNet, build_network, load_imagenet, load_network, start_from
from siamese.model.encoders import Encoder
from siamese.model.imagenet import RANDOM
from siamese.params import NetworkParams
from siamese.store import ObjectStore


def first_network(
    params: NetworkParams, seed: int, store: ObjectStore, parent: Checkpoint | Pretraining | None
) -> tuple[SiameseUNet, str]:
    """Builds a network with its initial weights.

    Returns:
        The network, and where its weights came from: ``"checkpoint …"``, ``"pretraining …"``, ``"imagenet (…)"`` or
        ``"random"``; also ``"random"`` when one of two encoders has no ImageNet weights.

    Raises:
        SiameseError: The parent cannot be read, or has another encoder.
    """
    network = seeded_network(params, seed)
    if isinstance(parent, Pretraining):
        return network, ", ".join({start_from(encoder, store, parent): None for encoder in _encoders(network)})
    if parent is not None:
        name = f"checkpoint {parent.digest}"
        older, _ = load_network(store, parent)
        check_encoders(network, older, name)
        take_over(network, older.state_dict(), name)
        return network, name
    if not params.pretrained:
        return network, RANDOM
    starts = {load_imagenet(encoder): None for encoder in _encoders(network)}
    return network, RANDOM if RANDOM in starts else ", ".join(starts)


def seeded_network(params: NetworkParams, seed: int) -> SiameseUNet:
    """Builds a network with the random weights of a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(params)


def check_encoders(network: SiameseUNet, older: SiameseUNet, name: str) -> None:
    """Rejects a parent with different encoders.

    Raises:
        SiameseError: The encoders differ; the message names both.
    """
    ours, theirs = (", ".join(encoder.name for encoder in _encoders(whole)) for whole in (network, older))
    if ours != theirs:
        what = f"its encoder is {theirs}, that of the network to train is {ours}"
        raise SiameseError(what, where=name, fix=f"set network.encoder={older.encoder.name}, or start without a parent")


def _encoders(network: SiameseUNet) -> list[Encoder]:
    return [network.encoder] if network.post_encoder is None else [network.encoder, network.post_encoder]
