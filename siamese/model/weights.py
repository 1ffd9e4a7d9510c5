"""Stores networks as safetensors with a JSON config that describes how to build the network. Never pickle."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from torch import Tensor

from siamese.errors import SiameseError
from siamese.manifests import Checkpoint
from siamese.model.backends import Graph
from siamese.model.decision import Decision
from siamese.model.network import SiameseUNet, build_network
from siamese.params import NetworkParams
from siamese.store import Blob, ObjectStore, S3Uri, put_blob


class NetworkConfig(BaseModel):
    """Everything needed to use a file of weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    network: NetworkParams
    decision: Decision
    start: str = Field(description="Where the encoder's first weights came from.")
    weights_sha256: str = Field(pattern="^[0-9a-f]{64}$")


def put_network(
    store: ObjectStore,
    folder: S3Uri,
    tensors: Mapping[str, Tensor],
    params: NetworkParams,
    decision: Decision,
    start: str,
) -> tuple[Blob, Blob]:
    """Writes weights and config as two immutable objects.

    Returns:
        Weights (safetensors) and config (JSON).
    """
    data = serialize(tensors)
    sha256 = hashlib.sha256(data).hexdigest()
    config = NetworkConfig(network=params, decision=decision, start=start, weights_sha256=sha256)
    weights = put_blob(store, folder, "weights.safetensors", data)
    text = config.model_dump_json(indent=1).encode()
    return weights, put_blob(store, folder, "network.json", text, "application/json")


def load_network(store: ObjectStore, checkpoint: Checkpoint) -> tuple[SiameseUNet, NetworkConfig]:
    """Returns the trained network of a checkpoint, in eval mode on the CPU.

    Raises:
        SiameseError: An object is missing, differs from what was published, or does not match the network.
    """
    config = read_config(checkpoint.network.read(store), checkpoint.network.uri)
    return restore(checkpoint.weights.read(store), config, checkpoint.weights.uri), config


def load_graphs(store: ObjectStore, checkpoint: Checkpoint) -> tuple[Graph, ...]:
    """Returns the parts of a checkpoint's network in 8-bit integers; empty unless it was quantized.

    Raises:
        SiameseError: An object is missing or differs from what was published.
    """
    parts = checkpoint.quantized.parts if checkpoint.quantized else ()
    return tuple(Graph(part.operations.read(store), part.constants.read(store)) for part in parts)


def read_config(data: bytes, where: str) -> NetworkConfig:
    """Reads a network's JSON config.

    Raises:
        SiameseError: The data is no such config, or one of another version.
    """
    try:
        return NetworkConfig.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"not a network config of this version: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise SiameseError(what, where=where, fix="train again with this version") from error


def restore(data: bytes, config: NetworkConfig, where: str) -> SiameseUNet:
    """Builds the network of a config and loads its weights, in eval mode.

    Raises:
        SiameseError: The bytes do not match the sha256, or are not the weights of that network.
    """
    if hashlib.sha256(data).hexdigest() != config.weights_sha256:
        fix = "restore the version with its sha256, or train again"
        raise SiameseError("weights differ from the registered sha256", where=where, fix=fix)
    network = build_network(config.network)
    assign(network, deserialize(data, where), where)
    return network.eval()


def serialize(tensors: Mapping[str, Tensor]) -> bytes:
    """Serializes tensors as safetensors; the same tensors always give the same bytes."""
    return safetensors.torch.save({name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)})


def deserialize(data: bytes, where: str) -> dict[str, Tensor]:
    """Reads tensors from safetensors.

    Raises:
        SiameseError: The bytes are not safetensors, or are truncated.
    """
    try:
        return safetensors.torch.load(data)
    except SafetensorError as error:
        raise SiameseError(f"not safetensors: {error}", where=where, fix="restore it, or train again") from error


def assign(network: torch.nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Loads weights into a network: every name, shape and data type must match, and every number must be finite.

    Raises:
        SiameseError: One of these does not hold; the message names the first tensor concerned.
    """
    expected = network.state_dict()
    fix = "use the config that was published with these weights"
    for name in sorted(expected.keys() ^ tensors.keys()):
        what = "is missing from the weights" if name in expected else "is no part of the network"
        raise SiameseError(f"{name} {what}", where=where, fix=fix)
    for name, slot in expected.items():
        given = tensors[name]
        if given.shape != slot.shape or given.dtype != slot.dtype:
            ours, theirs = f"{tuple(slot.shape)} {slot.dtype}", f"{tuple(given.shape)} {given.dtype}"
            raise SiameseError(f"{name} is {theirs}, the network has {ours}", where=where, fix=fix)
        if not torch.isfinite(given).all():
            raise SiameseError(f"{name} holds a NaN or infinity", where=where, fix="use an earlier checkpoint")
    network.load_state_dict(dict(tensors))
