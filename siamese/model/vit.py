"""Vision transformers as encoders: features of a single scale, resampled to a pyramid.

The pyramid is that of ViTDet (Li et al. 2022, "Exploring Plain Vision Transformer Backbones for Object Detection"),
but each scale is computed from the tokens of a different depth, as in DPT (Ranftl et al. 2021).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from siamese.model.body import Body

_TOKEN_STRIDE = 16
"""Pixels between tokens. For networks with another patch size, images are resized so that scales still halve."""
_SCALES = (4, 8, 16, 32)


class VitBody(Body):
    """A plain ViT (DeiT, DINO, DINOv2 and the like) of any patch size, on images of any size."""

    def __init__(self, name: str, bands: int) -> None:
        super().__init__()
        self._made_of: dict[str, Any] = {
            "model_name": name,
            "num_classes": 0,
            "in_chans": bands,
            "dynamic_img_size": True,
        }
        self.net = self._create(pretrained=False)
        width = int(self.net.embed_dim)
        self._patch = int(self.net.patch_embed.patch_size[0])
        self.channels = tuple(max(32, width >> shift) for shift in (2, 1, 0, 0))
        self.reductions = _SCALES
        half, quarter = self.channels[1], self.channels[0]
        self.resample = nn.ModuleList(
            [
                nn.Sequential(
                    nn.ConvTranspose2d(width, half, 2, 2), nn.GELU(), nn.ConvTranspose2d(half, quarter, 2, 2)
                ),
                nn.ConvTranspose2d(width, half, 2, 2),
                nn.Conv2d(width, width, 1),
                nn.Conv2d(width, width, 2, 2),
            ]
        )

    @staticmethod
    def fits(name: str) -> bool:
        """Returns whether timm's network of that name is a plain ViT."""
        import timm

        return timm.model_entrypoint(name).__module__ in {
            "timm.models.vision_transformer",
            "timm.models.deit",
            "timm.models.eva",
        }

    def forward(self, images: Tensor) -> list[Tensor]:
        """Returns the feature pyramid of ``(N, bands, H, W)``: strides 4, 8, 16, 32."""
        if self._patch != _TOKEN_STRIDE:
            height, width = (side // _TOKEN_STRIDE * self._patch for side in images.shape[-2:])
            images = functional.interpolate(images, (height, width), mode="bilinear", antialias=True)
        tokens = self.net.forward_intermediates(
            images, indices=self._depths, intermediates_only=True, output_fmt="NCHW"
        )
        return [resample(features) for resample, features in zip(self.resample, tokens, strict=True)]

    def shallow(self, scales: int) -> list[nn.Module]:
        """Returns the modules that compute the first ``scales`` feature maps."""
        blocks = self.net.blocks[: self._depths[scales - 1] + 1]
        return [self.net.patch_embed, self.net.norm_pre, *blocks, *self.resample[:scales]]

    def load_from_hub(self) -> None:
        """Loads ImageNet weights from timm's hub; raises whatever the hub's client raises."""
        self.net.load_state_dict(self._create(pretrained=True).state_dict())

    def _create(self, *, pretrained: bool) -> Any:  # noqa: ANN401
        import timm

        net: Any = timm.create_model(**self._made_of, pretrained=pretrained)
        depth = len(net.blocks)
        self._depths = [depth * (number + 1) // len(_SCALES) - 1 for number in range(len(_SCALES))]
        # Layers after the last used tokens are dropped, so they must be neither trained nor stored.
        net.prune_intermediate_layers(self._depths, prune_norm=True, prune_head=True)
        return net
