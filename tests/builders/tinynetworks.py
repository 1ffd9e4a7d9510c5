"""Tiny networks and made-up pairs that they have been taught to read."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from siamese.model import SiameseUNet, build_network
from siamese.params import NetworkParams

Image = npt.NDArray[np.uint8]

TINY = NetworkParams(
    encoder="test_efficientnet", pretrained=False, decoder_channels=(16, 12, 8), localization_channels=(16, 8, 8, 8)
)


def build(**changes: Any) -> SiameseUNet:  # noqa: ANN401
    """A tiny network whose batch norms are not those of a network that has seen nothing."""
    torch.manual_seed(0)
    network = build_network(NetworkParams.model_validate(TINY.model_dump() | changes)).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.7, 1.4)
                module.weight.uniform_(0.7, 1.4)
                module.bias.normal_(0, 0.1)
        if network.film is not None:
            for table in network.film.parameters():
                table.normal_(0, 0.5)
    return network


def noise(height: int, width: int, bands: tuple[int, int] = (3, 3), seed: int = 0) -> tuple[Image, Image]:
    """Two dates of noise."""
    rng = np.random.default_rng(seed)
    return tuple(rng.integers(0, 256, (height, width, count), np.uint8) for count in bands)  # type: ignore[return-value]


def scene(height: int, width: int, seed: int) -> tuple[Image, Image, Image]:
    """Bright houses on dark ground, and how dark they are afterwards is their damage.

    Returns:
        Pre and post image, and the mask: 0 background, 1-4 damage.
    """
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    for _ in range(height * width // 1500):
        row, col, tall, wide = rng.integers([0, 0, 8, 8], [height - 8, width - 8, 24, 24])
        mask[row : row + tall, col : col + wide] = rng.integers(1, 5)
    pre = np.where(mask[..., None] > 0, 200, 60) + rng.integers(0, 40, (height, width, 3))
    shade = np.array([60, 220, 170, 110, 40])[mask]
    post = shade[..., None] + rng.integers(0, 35, (height, width, 3))
    return pre.astype(np.uint8), post.astype(np.uint8), mask


def taught(steps: int = 60, **changes: Any) -> SiameseUNet:  # noqa: ANN401
    """A tiny network that has learned to read :func:`scene`."""
    network = build(**changes).train()
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3)
    for step in range(steps):
        pre, post, mask = (
            np.stack(part) for part in zip(*(scene(96, 96, 4 * step + k) for k in range(4)), strict=True)
        )
        images = [torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255 for image in (pre, post)]
        truth = torch.from_numpy(mask).long()
        output = network(*images)
        building = (truth > 0).float()[:, None]
        loss = functional.binary_cross_entropy_with_logits(output.localization, building)
        loss = loss + functional.cross_entropy(output.damage, truth - 1, ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()
