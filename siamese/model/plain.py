"""The plain encoder: four blocks of convolution, batch norm, ReLU and pooling."""

from __future__ import annotations

from torch import Tensor, nn

from siamese.model.body import Body

PLAIN = "plain"
_CHANNELS = (64, 128, 256, 512)


class PlainBody(Body):
    """A plain CNN as in the first Siamese networks for change detection: simple, and quick to train from scratch."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.channels = _CHANNELS
        self.reductions = tuple(2 ** (number + 1) for number in range(len(_CHANNELS)))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2),
            )
            for before, after in zip((bands, *_CHANNELS), _CHANNELS, strict=False)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Returns the feature pyramid of ``(N, bands, H, W)``: strides 2, 4, 8, 16."""
        features: list[Tensor] = []
        for block in self.blocks:
            images = block(images)
            features.append(images)
        return features

    def shallow(self, scales: int) -> list[nn.Module]:
        """Returns the modules that compute the first ``scales`` feature maps."""
        return list(self.blocks[:scales])
