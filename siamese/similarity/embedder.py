"""A trained similarity model in use: items in, vectors out, and the distance and threshold that go with them."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from siamese.errors import SiameseError
from siamese.manifests import ItemSet, SimilarityModel, Threshold
from siamese.model.precision import best_device
from siamese.model.weights import assign, deserialize
from siamese.params import ItemsParams, SimilarityParams
from siamese.params.similarity import ItemKind
from siamese.similarity.augment import warped_regularly
from siamese.similarity.data.decode import encode_text, fit_image, read_image, standardized
from siamese.similarity.data.items import Items, Values
from siamese.similarity.data.tables import read_numbers
from siamese.similarity.distances import Vectors, all_distances, check_vectors, pair_distances
from siamese.similarity.encoders import EmbeddingNetwork, build_embedder
from siamese.store import ObjectStore

_BATCH = 256
Raw = Path | str | bytes | NDArray[Any]


class EmbedderConfig(BaseModel):
    """Everything needed to use a file of weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    item_kind: ItemKind
    shape: tuple[int, ...] = Field(description="Of one item.")
    items: ItemsParams
    similarity: SimilarityParams
    start: str = Field(description="Where the first weights came from.")
    weights_sha256: str = Field(pattern="^[0-9a-f]{64}$")


@dataclass(frozen=True)
class Embedder:
    """A trained network with its distance and threshold.

    Attributes:
        config: What it was built from.
        network: In eval mode.
        threshold: None where nothing was held out to choose it on.
        name: How messages and indexes name it: the model's digest.
    """

    config: EmbedderConfig
    network: EmbeddingNetwork
    threshold: Threshold | None
    name: str

    @cached_property
    def device(self) -> torch.device:
        """Where the network runs."""
        return next(self.network.parameters()).device

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.config.similarity.dim

    def prepare(self, raw: Sequence[Raw]) -> Values:
        """Turns files, arrays or texts into items as the network takes them.

        Args:
            raw: Image files or their bytes, images ``(H, W[, bands])``, series
                ``(channels, steps)``, vectors, or texts.

        Raises:
            SiameseError: One cannot be read, or is not of the kind that the model learned from.
        """
        return np.stack([self._prepared(one, number) for number, one in enumerate(raw)])

    def embed(self, items: Values | Sequence[Raw], branch: int = 0, warps: int = 1) -> Vectors:
        """Turns items into vectors.

        Args:
            items: Prepared items as one array, or anything that :meth:`prepare` takes.
            branch: Which encoder of a pseudo-Siamese network takes them.
            warps: Average the vectors of so many small affine changes of each image.

        Returns:
            ``(n, dim) float32``.

        Raises:
            SiameseError: An item cannot be read or does not fit, or its vector is not finite.
        """
        values = items if isinstance(items, np.ndarray) else self.prepare(items)
        if values.shape[1:] != self.config.shape:
            what = f"are of shape {values.shape[1:]}, the model learned from {self.config.shape}"
            raise SiameseError(what, where="items", fix="prepare them with Embedder.prepare")
        if warps > 1 and self.config.item_kind == "image":
            found = np.mean([self._run(part, branch) for part in warped_regularly(values, warps)], 0)
            if self.network.normalized:
                found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        else:
            found = self._run(values, branch)
        vectors = np.asarray(found, np.float32)
        check_vectors(vectors, self.config.similarity.distance)
        return vectors

    def between(self, one: Vectors, other: Vectors) -> NDArray[np.float32]:
        """Returns all distances between two sets of vectors, ``(n, m)``."""
        return all_distances(one, other, self.config.similarity.distance, self._head)

    def apart(self, one: Vectors, other: Vectors) -> NDArray[np.float32]:
        """Returns the distances of the pairs in the same places, ``(n,)``."""
        return pair_distances(one, other, self.config.similarity.distance, self._head)

    @cached_property
    def _head(self) -> Any:  # noqa: ANN401
        # A copy, as the network may still be learning on another device.
        return copy.deepcopy(self.network.head).cpu() if self.network.head is not None else None

    @torch.inference_mode()
    def _run(self, values: Values, branch: int) -> Vectors:
        parts = []
        for start in range(0, len(values), _BATCH):
            part = torch.from_numpy(np.array(values[start : start + _BATCH])).to(self.device)
            which = torch.full((len(part),), branch, device=self.device)
            parts.append(self.network(part, which).float().cpu().numpy())
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), np.float32)

    def _prepared(self, raw: Raw, number: int) -> NDArray[Any]:
        shape, params = self.config.shape, self.config.items
        match self.config.item_kind, raw:
            case "image", str() | Path():
                path = Path(raw)
                try:
                    data = path.read_bytes()
                except OSError as error:
                    raise SiameseError("cannot be read", where=str(path), fix="check the path") from error
                return fit_image(read_image(data, str(path)), shape[0], shape[2], pad=params.sizes == "pad")
            case "image", bytes():
                image = read_image(raw, f"image {number}")
                return fit_image(image, shape[0], shape[2], pad=params.sizes == "pad")
            case "image", np.ndarray():
                image = np.asarray(raw, np.uint8)
                image = image if image.ndim == 3 else image[..., None]
                return fit_image(image, shape[0], shape[2], pad=params.sizes == "pad")
            case "text", str():
                return encode_text(raw, shape[0])
            case "series", str() | Path():
                return self._prepared(read_array(Path(raw)), number)
            case "vector", str() | Path():
                return self._prepared(read_vector(Path(raw)), number)
            case "series", np.ndarray():
                return self._series(raw, number)
            case "vector", np.ndarray() if raw.shape == shape:
                return np.asarray(raw, np.float32)
        what = f"is no {self.config.item_kind} as the model learned from, {shape}"
        raise SiameseError(what, where=f"item {number}", fix="give items of the kind that the model learned from")

    def _series(self, raw: NDArray[Any], number: int) -> NDArray[np.float32]:
        channels, steps = self.config.shape
        series = np.atleast_2d(np.asarray(raw, np.float32))
        if len(series) != channels or series.shape[1] > steps or not np.isfinite(series).all():
            what = f"is a series of shape {series.shape}; the model takes ({channels}, up to {steps}), all finite"
            raise SiameseError(what, where=f"item {number}", fix="cut or resample it")
        series = standardized(series) if self.config.items.standardize else series
        return np.pad(series, ((0, 0), (0, steps - series.shape[1])), constant_values=np.nan)


def load_embedder(store: ObjectStore, model: SimilarityModel) -> Embedder:
    """Loads a published similarity model.

    Raises:
        SiameseError: An object is missing, differs from what was published, or does not match the network.
    """
    config = read_config(model.network.read(store), model.network.uri)
    data, where = model.weights.read(store), model.weights.uri
    if hashlib.sha256(data).hexdigest() != config.weights_sha256:
        raise SiameseError("weights differ from those of its config", where=where, fix="restore them, or train again")
    network = build_embedder(config.item_kind, config.shape, config.similarity)
    assign(network, deserialize(data, where), where)
    return Embedder(config, network.eval().to(best_device()), model.threshold, model.digest)


def read_config(data: bytes, where: str) -> EmbedderConfig:
    """Reads the JSON config of a similarity model.

    Raises:
        SiameseError: The data is no such config.
    """
    try:
        return EmbedderConfig.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"not the config of a similarity model: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise SiameseError(what, where=where, fix="train again with this version") from error


def check_items(embedder: Embedder, items: ItemSet) -> None:
    """Rejects items that a model cannot take; images and texts of another size are brought to the model's.

    Raises:
        SiameseError: They are of another kind or shape.
    """
    config = embedder.config
    fits = items.shape == config.shape or config.item_kind in ("image", "text")
    if items.item_kind != config.item_kind or not fits:
        what = f"holds items of kind {items.item_kind} and shape {items.shape}; the model takes "
        what += f"{config.item_kind}, {config.shape}"
        fix = "pack the data with the params that the model was trained with"
        raise SiameseError(what, where=f"item set {items.digest}", fix=fix)


def embed_items(embedder: Embedder, items: Items, warps: int = 1) -> Vectors:
    """Returns the vectors of items, each by the encoder of its branch: ``(n, dim) float32``."""
    values = _resized(items.values, embedder.config)
    if len(embedder.network.branches) == 1:
        return embedder.embed(values, warps=warps)
    found = np.empty((len(items), embedder.dimension), np.float32)
    for branch in (0, 1):
        own = items.branch == branch
        if own.any():
            found[own] = embedder.embed(values[own], branch, warps)
    return found


def read_array(path: Path) -> NDArray[np.float32]:
    """Reads one series ``(channels, steps)``: a ``.npy``, or a CSV with a column a channel, with or without a header.

    Raises:
        SiameseError: The file cannot be read, or holds what is no finite number.
    """
    fix = "give a CSV with a column of numbers a channel, or a .npy of (steps,) or (channels, steps)"
    try:
        if path.suffix.lower() == ".npy":
            values = np.atleast_2d(np.load(path, allow_pickle=False)).astype(np.float32)
        else:
            values = read_numbers(path).T
    except (OSError, EOFError, ValueError) as error:
        raise SiameseError(f"is no series: {' '.join(str(error).split())}", where=str(path), fix=fix) from error
    if not values.size:
        raise SiameseError("holds no number", where=str(path), fix=fix)
    bad = np.flatnonzero(~np.isfinite(values).all(0))
    if len(bad):
        raise SiameseError(f"holds a NaN or infinity at step {bad[0]}", where=str(path), fix="fill or cut the gap")
    return np.asarray(values, np.float32)


def read_vector(path: Path) -> NDArray[np.float32]:
    """Reads one vector ``(columns,)``: a ``.npy``, or a CSV of one row or one column, with or without a header.

    Raises:
        SiameseError: The file cannot be read, holds more than one vector, or what is no finite number.
    """
    values = read_array(path)
    if 1 not in values.shape:
        what = f"holds {' x '.join(map(str, values.shape[::-1]))} numbers, more than one vector"
        raise SiameseError(what, where=str(path), fix="give a file of one row, or of one column")
    return values.ravel()


def _resized(values: Values, config: EmbedderConfig) -> Values:
    """Brings images and texts of another size to the model's."""
    if values.shape[1:] == config.shape:
        return values
    if config.item_kind == "image":
        return np.stack([fit_image(value, config.shape[0], config.shape[2]) for value in values])
    length = config.shape[0]
    return np.pad(values[:, :length], ((0, 0), (0, max(0, length - values.shape[1]))))
