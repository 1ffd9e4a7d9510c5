"""Untrained networks that are champions on a bucket: what maps are made with where no score matters."""

from __future__ import annotations

import secrets

import torch

from siamese.manifests import Checkpoint
from siamese.model import Decision, build_network, put_network
from siamese.params import NetworkParams
from siamese.registry import LedgerEntry, RegisteredModel, read_ledger
from siamese.registry.claims import claim
from siamese.registry.ledger import append
from siamese.store import ObjectStore, put_blob
from siamese.training.stage import CHECKPOINT

NETWORK = NetworkParams(encoder="test_resnet", pretrained=False, decoder_channels=(8, 8), localization_channels=(8, 8))
MODEL = "siamese-damage"


def crown(store: ObjectStore, version: int, decision: Decision | None = None) -> Checkpoint:
    """Publishes an untrained network and makes it champion under a version."""
    checkpoint = _publish(store, version, decision or Decision())
    named = RegisteredModel(version=version, checkpoint=checkpoint.digest, weights_sha256=checkpoint.weights.sha256)
    ledger = read_ledger(store, MODEL)
    claim(MODEL, checkpoint.digest, version, store)
    entry = LedgerEntry(
        sequence=ledger.sequence + 1, kind="promote", model=MODEL, candidate=named,
        champion_before=ledger.champion, champion_after=named, comparison=None, reasons=(),
        revision="tests", who="tests",
    )  # fmt: skip
    append(store, entry)
    return checkpoint


def _publish(store: ObjectStore, seed: int, decision: Decision) -> Checkpoint:
    origin = CHECKPOINT.plan(inputs={"seed": secrets.token_hex(8)}, params={})
    folder = Checkpoint.folder(store, origin.digest)
    torch.manual_seed(seed)
    states = build_network(NETWORK).eval().state_dict()
    weights, network = put_network(store, folder, states, NETWORK, decision, "random")
    curves = put_blob(store, folder, "curves.csv", b"epoch\n")
    return Checkpoint(
        origin=origin, weights=weights, network=network, curves=curves,
        pairs="1" * 16, epochs=1, best_epoch=1, run_id=None,
    ).publish(store)  # fmt: skip
