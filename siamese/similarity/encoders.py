"""Networks that turn an item into a vector: one for images, series, vectors and texts each, and timm's encoders."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import max_pool1d, normalize, softplus

from siamese.errors import SiameseError
from siamese.model.encoders import Encoder
from siamese.model.imagenet import RANDOM, load_imagenet
from siamese.params import SimilarityParams
from siamese.params.similarity import ItemKind

SMALL = "small"
_SMALLEST_PX = 4
_TEXT_CODE = 32


class SmallImageEncoder(nn.Module):
    """Blocks of convolution, batch norm, ReLU and pooling until an image is 4 pixels wide; then one linear layer.

    The last feature map is flattened, not averaged: characters differ by where a stroke lies.
    """

    def __init__(self, shape: tuple[int, ...], params: SimilarityParams) -> None:
        super().__init__()
        side, _, bands = shape
        layers: list[nn.Module] = []
        channels, width, place = bands, params.width, 0
        while side > _SMALLEST_PX or not place:
            layers += [*_block2d(channels, width), nn.MaxPool2d(2)]
            channels, side, place = width, side // 2, place + 1
            width = params.width if place < 2 else 2 * params.width
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Dropout(params.dropout), nn.Linear(channels * side * side, params.dim)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Turns ``(N, H, W, bands) uint8`` into ``(N, dim)``."""
        found: Tensor = self.head(self.body(_as_image(images) * 2 - 1))
        return found


class TimmEncoder(nn.Module):
    """An image encoder of timm, the mean of its deepest feature map, and one linear layer."""

    def __init__(self, shape: tuple[int, ...], params: SimilarityParams) -> None:
        super().__init__()
        self.net = Encoder(params.encoder, shape[2])
        stride = self.net.reductions[-1]
        if shape[0] % stride:
            fix = f"set items.side_px to a multiple of {stride}, e.g. {max(stride, round(shape[0] / stride) * stride)}"
            raise SiameseError(f"{params.encoder} does not take images of {shape[0]} pixels", where="items", fix=fix)
        self._frozen = params.frozen
        self.head = nn.Sequential(nn.Dropout(params.dropout), nn.Linear(self.net.channels[-1], params.dim))

    def forward(self, images: Tensor) -> Tensor:
        """Turns ``(N, H, W, bands) uint8`` into ``(N, dim)``."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._frozen):
            deepest = self.net(_as_image(images))[-1].mean((2, 3))
        found: Tensor = self.head(deepest)
        return found


class SeriesEncoder(nn.Module):
    """1-D convolutions over a series, then the mean of its steps or their sum weighted by attention."""

    def __init__(self, shape: tuple[int, ...], params: SimilarityParams) -> None:
        super().__init__()
        widths = [shape[0], params.width, 2 * params.width, 2 * params.width]
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv1d(given, made, size, padding=size // 2, bias=False), nn.BatchNorm1d(made), nn.ReLU())
            for (given, made), size in zip(pairwise(widths), (7, 5, 3), strict=True)
        )
        self.attention = nn.Conv1d(widths[-1], 1, 1) if params.attention else None
        self.head = nn.Sequential(nn.Dropout(params.dropout), nn.Linear(widths[-1] * 2, params.dim))

    def forward(self, series: Tensor) -> Tensor:
        """Turns ``(N, channels, steps) float32``, NaN after a series' end, into ``(N, dim)``."""
        there = torch.isfinite(series).all(1, keepdim=True).float()
        features = torch.nan_to_num(series)
        for place, block in enumerate(self.blocks):
            features = block(features) * there
            if place < len(self.blocks) - 1 and features.shape[2] >= 16:
                features, there = max_pool1d(features, 2), max_pool1d(there, 2)
        weights = there / there.sum(2, keepdim=True).clamp(min=1)
        if self.attention is not None:
            weights = self.attention(features).float().masked_fill(there == 0, -1e4).softmax(2)
        pooled = torch.cat([(features * weights).sum(2), features.amax(2)], 1)
        found: Tensor = self.head(pooled)
        return found


class VectorEncoder(nn.Module):
    """Two dense layers; columns are standardised by the statistics of the training items."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: tuple[int, ...], params: SimilarityParams) -> None:
        super().__init__()
        columns, hidden = shape[0], 2 * params.width
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("deviation", torch.ones(columns))
        self.body = nn.Sequential(
            nn.Linear(columns, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, hidden),
            nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(params.dropout), nn.Linear(hidden, params.dim),
        )  # fmt: skip

    def fit(self, values: NDArray[np.float32]) -> None:
        """Takes mean and deviation of each column from the training items ``(n, columns)``."""
        deviation = values.std(0)
        self.mean.copy_(torch.from_numpy(values.mean(0)))
        self.deviation.copy_(torch.from_numpy(np.where(deviation > 1e-8, deviation, 1).astype(np.float32)))

    def forward(self, vectors: Tensor) -> Tensor:
        """Turns ``(N, columns) float32`` into ``(N, dim)``."""
        found: Tensor = self.body((vectors - self.mean) / self.deviation)
        return found


class TextEncoder(nn.Module):
    """1-D convolutions over the bytes of a text, then their maximum and mean."""

    def __init__(self, shape: tuple[int, ...], params: SimilarityParams) -> None:
        super().__init__()
        del shape
        self.codes = nn.Embedding(256, _TEXT_CODE, padding_idx=0)
        widths = [_TEXT_CODE, params.width, 2 * params.width]
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv1d(given, made, 3, padding=1, bias=False), nn.BatchNorm1d(made), nn.ReLU())
            for given, made in pairwise(widths)
        )
        self.head = nn.Sequential(nn.Dropout(params.dropout), nn.Linear(2 * widths[-1], params.dim))

    def forward(self, texts: Tensor) -> Tensor:
        """Turns ``(N, bytes) uint8``, 0 after a text's end, into ``(N, dim)``."""
        there = (texts != 0).unsqueeze(1).float()
        features = self.codes(texts.long()).transpose(1, 2)
        for block in self.blocks:
            features = block(features) * there
        mean = features.sum(2) / there.sum(2).clamp(min=1)
        found: Tensor = self.head(torch.cat([features.amax(2), mean], 1))
        return found


class SimilarityHead(nn.Module):
    """A learned similarity: a weighted sum of the absolute differences of two vectors (Koch et al. 2015).

    No weight lets a difference speak for sameness. Free weights, or a deeper head, learn the training classes by heart:
    of classes that they never saw they take the same for others.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(dim))
        self.bias = nn.Parameter(torch.ones(1))

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Returns a logit a pair of ``(..., dim)``: above 0 the same."""
        found: Tensor = self.bias - (one - other).abs() @ softplus(self.weight)
        return found


class EmbeddingNetwork(nn.Module):
    """One encoder for both sides of a comparison, or two (pseudo-Siamese), and the learned similarity, if any.

    Attributes:
        branches: One encoder, or two.
        head: The learned similarity; None where a distance decides.
        normalized: Whether vectors have length 1.
    """

    def __init__(self, kind: ItemKind, shape: tuple[int, ...], params: SimilarityParams) -> None:
        super().__init__()
        count = 2 if params.relation == "pseudo" else 1
        self.branches = nn.ModuleList(_encoder(kind, shape, params) for _ in range(count))
        self.head = SimilarityHead(params.dim) if params.distance == "learned" else None
        self.normalized = params.normalized or params.distance == "cosine"

    def forward(self, values: Tensor, branch: Tensor | None = None) -> Tensor:
        """Turns items into vectors ``(N, dim) float32``.

        Args:
            values: The items; see :data:`siamese.similarity.data.items.Values`.
            branch: ``(N,)``, which encoder takes each; None: the first.
        """
        if len(self.branches) == 1 or branch is None:
            found = self.branches[0](values).float()
        else:
            parts = [encoder(values[branch == number]).float() for number, encoder in enumerate(self.branches)]
            found = parts[0].new_empty(len(values), parts[0].shape[1])
            for number, part in enumerate(parts):
                found[branch == number] = part
        return normalize(found, dim=1) if self.normalized else found


def build_embedder(kind: ItemKind, shape: tuple[int, ...], params: SimilarityParams) -> EmbeddingNetwork:
    """Builds a network with random weights that turns items into vectors.

    Args:
        kind: What the items are.
        shape: Of one item: ``(H, W, bands)``, ``(channels, steps)``, ``(columns,)`` or ``(bytes,)``.
        params: Encoder, width and length of the vector, and so on.

    Raises:
        SiameseError: The encoder does not take such items, or no encoder has that name.
    """
    return EmbeddingNetwork(kind, shape, params)


def load_start(network: EmbeddingNetwork, params: SimilarityParams) -> str:
    """Gives timm encoders their ImageNet weights if wanted and at hand; returns where the weights came from."""
    starts = [
        load_imagenet(encoder.net) for encoder in network.branches if isinstance(encoder, TimmEncoder)
    ] if params.pretrained else []  # fmt: skip
    return starts[0] if starts else RANDOM


def fit_statistics(network: EmbeddingNetwork, values: NDArray[Any], branch: NDArray[np.int64]) -> None:
    """Gives encoders of vectors the mean and deviation of the training items."""
    for number, encoder in enumerate(network.branches):
        if isinstance(encoder, VectorEncoder):
            encoder.fit(values[branch == number] if len(network.branches) > 1 else values)


def frozen_parts(network: EmbeddingNetwork, params: SimilarityParams) -> tuple[nn.Module, ...]:
    """Returns the parts that are not trained."""
    if not params.frozen:
        return ()
    return tuple(encoder.net for encoder in network.branches if isinstance(encoder, TimmEncoder))


def _encoder(kind: ItemKind, shape: tuple[int, ...], params: SimilarityParams) -> nn.Module:
    if params.encoder != SMALL and kind != "image":
        what = f"takes images, not items of kind {kind}"
        raise SiameseError(what, where=f"similarity.encoder {params.encoder}", fix="set similarity.encoder=small")
    match kind:
        case "image":
            return (SmallImageEncoder if params.encoder == SMALL else TimmEncoder)(shape, params)
        case "series":
            return SeriesEncoder(shape, params)
        case "vector":
            return VectorEncoder(shape, params)
        case "text":
            return TextEncoder(shape, params)


def _block2d(given: int, made: int) -> list[nn.Module]:
    return [nn.Conv2d(given, made, 3, padding=1, bias=False), nn.BatchNorm2d(made), nn.ReLU(inplace=True)]


def _as_image(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2).float() / 255
