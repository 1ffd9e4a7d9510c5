"""The damage network as an encoder of buildings: its features of both dates and of their fusion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from siamese.classes import disaster_number
from siamese.embedding.pooling import Floats, Numbers, pool
from siamese.errors import SiameseError
from siamese.manifests import Checkpoint
from siamese.model import SiameseUNet, load_network
from siamese.model.encoders import Encoder
from siamese.model.precision import best_device
from siamese.params import EmbeddingParams
from siamese.store import ObjectStore

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Part:
    """A part of a vector: one feature map of the network."""

    name: str
    """``pre/8``, ``post/8``, ``fused/8`` or ``decoded/8``: what it is of, and its stride in pixels."""
    channels: int


class DamageFeatures:
    """Pools the features of a damage network inside outlines.

    Attributes:
        parts: What a vector is joined from, in order.
    """

    def __init__(self, network: SiameseUNet, params: EmbeddingParams, device: torch.device | None = None) -> None:
        """Takes a network.

        Args:
            network: The network, in eval mode.
            params: Which features to take.
            device: Defaults to the GPU if there is one.

        Raises:
            SiameseError: The network has no features at one of the strides.
        """
        self._device = device or best_device()
        self._network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parts = feature_parts(network, params)

    @classmethod
    def load(cls, checkpoint: Checkpoint, params: EmbeddingParams, store: ObjectStore) -> DamageFeatures:
        """Loads the network of a checkpoint; of one in 8-bit integers, the weights that it was made from.

        Raises:
            SiameseError: An object is missing or damaged, or the network has no features at one of the strides.
        """
        network, _ = load_network(store, checkpoint)
        return cls(network, params)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return sum(part.channels for part in self.parts)

    def spans(self) -> dict[str, tuple[int, int]]:
        """Returns first and last element (exclusive) of each part in a vector."""
        ends = np.cumsum([part.channels for part in self.parts])
        return {part.name: (int(end) - part.channels, int(end)) for part, end in zip(self.parts, ends, strict=True)}

    @torch.inference_mode()
    def vectors(self, pre: Image, post: Image, numbers: Numbers, count: int, disaster_type: str | None) -> Floats:
        """Returns the vector of each outline in a window.

        Args:
            pre: ``(H, W, bands)`` uint8.
            post: The same after the disaster.
            numbers: ``(H, W)``, the outline that each pixel lies in; see
                :func:`siamese.embedding.pooling.number_pixels`.
            count: Number of outlines.
            disaster_type: One of :data:`siamese.classes.DISASTER_TYPES`.

        Returns:
            ``(count, dimension)`` float32.
        """
        disaster = torch.tensor([disaster_number(disaster_type)], device=self._device)
        found = self._network.features(self._tensor(pre), self._tensor(post), disaster)
        maps = []
        for part in self.parts:
            of, _, stride = part.name.partition("/")
            level = getattr(found, of)[int(stride)]
            maps.append((int(stride), level[0].float().cpu().numpy()))
        return pool(numbers, count, maps)

    def _tensor(self, image: Image) -> torch.Tensor:
        moved = torch.from_numpy(np.ascontiguousarray(image)).to(self._device)
        scaled = moved.permute(2, 0, 1)[None].to(torch.float32) / 255
        return scaled.contiguous(memory_format=torch.channels_last)


def feature_parts(network: SiameseUNet, params: EmbeddingParams) -> tuple[Part, ...]:
    """Returns what the vectors of a network are joined from.

    Raises:
        SiameseError: The network has no features at one of the strides.
    """
    pre, post = network.encoder, network.post_encoder or network.encoder
    scales = len(network.fusion)
    fused = dict(zip(pre.reductions[-scales:], pre.channels[-scales:], strict=True))
    parts = []
    for stride in params.strides:
        if stride not in fused:
            fix = f"choose among {', '.join(map(str, fused))}"
            raise SiameseError(f"the network has no features at stride {stride}", where="embedding.strides", fix=fix)
        widths = (("pre", _width(pre, stride)), ("post", _width(post, stride)), ("fused", fused[stride]))
        parts += [Part(f"{of}/{stride}", width) for of, width in widths]
    if params.decoded:
        channels = network.damage_decoder.channels
        parts += [Part(f"decoded/{pre.reductions[-1] // 2 ** (step + 1)}", wide) for step, wide in enumerate(channels)]
    return tuple(parts)


def _width(encoder: Encoder, stride: int) -> int:
    return dict(zip(encoder.reductions, encoder.channels, strict=True))[stride]
