"""What a training starts from: another model, ImageNet, or random weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, Pretraining
from siamese.model import SiameseUNet, build_network, load_imagenet, load_network, start_from
from siamese.model.encoders import Encoder
from siamese.model.imagenet import RANDOM
from siamese.params import NetworkParams
from siamese.store import ObjectStore


def first_network(
    params: NetworkParams, seed: int, store: ObjectStore, parent: Checkpoint | Pretraining | None
) -> tuple[SiameseUNet, str]:
    """Builds a network with the weights that its training starts from.

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
    """A network with the random weights of a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(params)


def take_over(module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> tuple[str, ...]:
    """Gives a module every one of some tensors whose name and shape fit; the others stay as they are.

    Args:
        module: The network, or a part of it, e.g. its encoder when ``tensors`` are those of an encoder alone.
        tensors: Finite numbers, by their names in ``module``.
        name: What they are called in an error.

    Returns:
        The names that were taken.

    Raises:
        SiameseError: None fits.
    """
    taken = copy_fitting(module, tensors)
    if not taken:
        fix = "start from a model of the same encoder, or from none"
        raise SiameseError("has no tensor that fits this network", where=name, fix=fix)
    return taken


def copy_fitting(module: nn.Module, tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Gives a module every tensor whose name and shape fit, which may be none; gives their names."""
    slots = module.state_dict()
    fitting = [key for key, slot in slots.items() if key in tensors and tensors[key].shape == slot.shape]
    with torch.no_grad():
        for key in fitting:
            slots[key].copy_(tensors[key])
    return tuple(fitting)


def check_encoders(network: SiameseUNet, older: SiameseUNet, name: str) -> None:
    """Refuses a parent whose encoders are others.

    Raises:
        SiameseError: They are; it names both.
    """
    ours, theirs = (", ".join(encoder.name for encoder in _encoders(whole)) for whole in (network, older))
    if ours != theirs:
        what = f"its encoder is {theirs}, that of the network to train is {ours}"
        raise SiameseError(what, where=name, fix=f"set network.encoder={older.encoder.name}, or start without a parent")


def _encoders(network: SiameseUNet) -> list[Encoder]:
    return [network.encoder] if network.post_encoder is None else [network.encoder, network.post_encoder]
