"""Encoders that turn chips into vectors: any network of timm by name, or a similarity model of one's own."""

from __future__ import annotations

import hashlib
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import torch

from siamese.embedding.chips import Image, scaled
from siamese.embedding.vectors import Floats
from siamese.errors import SiameseError
from siamese.manifests import SimilarityModel
from siamese.model.encoders import Encoder
from siamese.model.imagenet import load_imagenet
from siamese.model.precision import best_device
from siamese.model.weights import serialize
from siamese.params import EmbeddingParams
from siamese.registry.similarity import resolve_similarity
from siamese.similarity.embedder import load_embedder
from siamese.store import ObjectStore

Chips = npt.NDArray[np.uint8]

MAP_ENCODER: Final = "map"
IMAGE_ENCODER: Final = "tf_efficientnet_lite0"
"""What embeds images where the params say ``map``: images are no maps."""
SIMILARITY: Final = "similarity:"


class ChipEncoder(Protocol):
    """Turns chips into vectors."""

    @property
    def identity(self) -> str:
        """What makes its vectors; those of two identities do not compare."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def prepare(self, image: Image) -> Image:
        """Returns an image ``(H, W, bands)`` uint8 as the encoder takes it: ``(side, side, bands)``."""

    def embed(self, chips: Chips) -> Floats:
        """Returns ``(n, dimension)`` float32 of ``n`` prepared images."""


class TimmEncoder:
    """A network of timm, its deepest features averaged over the chip."""

    def __init__(self, name: str, side_px: int = 128, batch: int = 64, device: torch.device | None = None) -> None:
        """Builds the network, with ImageNet weights where the machine has or reaches them.

        Raises:
            SiameseError: timm knows no such network, or it gives no features.
        """
        torch.manual_seed(0)  # so that without weights it is at least always the same network
        self._encoder, self._side_px, self._batch = Encoder(name).eval(), side_px, batch
        self.start = load_imagenet(self._encoder)
        self._device = device or best_device()
        weights = hashlib.sha256(serialize(self._encoder.state_dict())).hexdigest()[:16]
        self.identity = f"timm {name} {side_px} px {weights}"
        self._encoder.to(self._device)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._encoder.channels[-1])

    def prepare(self, image: Image) -> Image:
        """Returns an image ``(H, W, bands)`` uint8 in red, green and blue, scaled to a square."""
        return scaled(image, self._side_px)

    @torch.inference_mode()
    def embed(self, chips: Chips) -> Floats:
        """Returns ``(n, dimension)`` float32 of ``n`` prepared images."""
        found = [np.zeros((0, self.dimension), np.float32)]
        multiple = self._encoder.reductions[-1]
        for start in range(0, len(chips), self._batch):
            images = torch.from_numpy(chips[start : start + self._batch]).to(self._device)
            images = images.permute(0, 3, 1, 2).float() / 255
            below, right = (-side % multiple for side in images.shape[-2:])
            images = torch.nn.functional.pad(images, (0, right, 0, below), mode="replicate")
            found.append(self._encoder(images)[-1].mean((2, 3)).float().cpu().numpy())
        return np.concatenate(found)


class SimilarityEncoder:
    """A model that ``siamese similarity train`` made."""

    def __init__(self, reference: str, store: ObjectStore) -> None:
        """Loads the model.

        Raises:
            SiameseError: There is no such model, or it embeds something else than images of one kind.
        """
        model = _model(reference, store)
        self._embedder = load_embedder(store, model)
        kind = self._embedder.config.item_kind
        if kind != "image":
            what = f"learned from items of kind {kind}; embed and search take images"
            fix = "ask it with siamese similarity verify, classify or changes"
            raise SiameseError(what, where=f"similarity model {model.digest}", fix=fix)
        if len(self._embedder.network.branches) > 1:
            fix = "ask it with siamese similarity verify or classify"
            what = "compares two kinds of input; embed and search take one"
            raise SiameseError(what, where=f"similarity model {model.digest}", fix=fix)
        self.identity = f"similarity {model.content}"
        self.dimension = self._embedder.dimension

    def prepare(self, image: Image) -> Image:
        """Returns an image ``(H, W, bands)`` uint8 as the model learned from them."""
        return np.asarray(self._embedder.prepare([image])[0], np.uint8)

    def embed(self, chips: Chips) -> Floats:
        """Returns ``(n, dimension)`` float32 of ``n`` prepared images."""
        return np.asarray(self._embedder.embed(chips), np.float32)


def _model(reference: str, store: ObjectStore) -> SimilarityModel:
    if reference.startswith("models:/"):
        return resolve_similarity(reference, store)
    return SimilarityModel.resolve(store, reference)


def load_encoder(params: EmbeddingParams, store: ObjectStore) -> ChipEncoder:
    """Loads the encoder that the params name; for ``map``, an ImageNet encoder.

    Raises:
        SiameseError: There is no such encoder.
    """
    name = IMAGE_ENCODER if params.encoder == MAP_ENCODER else params.encoder
    if name.startswith((SIMILARITY, "models:/")):
        return SimilarityEncoder(name.removeprefix(SIMILARITY), store)
    try:
        return TimmEncoder(name, params.chip_px, params.batch)
    except SiameseError as error:
        raise SiameseError(error.what, where=f"embedding.encoder: {name!r}", fix=error.fix) from error


def checked(values: Floats, names: tuple[str, ...] | list[str]) -> Floats:
    """Returns vectors that are all finite.

    Raises:
        SiameseError: One is not; the message names it.
    """
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise SiameseError("its vector holds a NaN or infinity", where=names[bad[0]], fix="use another encoder")
    return values
