"""Convolutional encoders: any backbone that timm can turn into a feature extractor."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from siamese.model.body import Body


class ConvolutionalBody(Body):
    """The feature extractor that timm builds from a convolutional backbone."""

    def __init__(self, name: str, bands: int) -> None:
        super().__init__()
        self._made_of: dict[str, Any] = {"model_name": name, "features_only": True, "in_chans": bands}
        import timm

        self.net = timm.create_model(**self._made_of)
        self.channels = tuple(self.net.feature_info.channels())
        self.reductions = tuple(self.net.feature_info.reduction())

    def forward(self, images: Tensor) -> list[Tensor]:
        """Returns the feature pyramid of ``(N, bands, H, W)``."""
        features: list[Tensor] = self.net(images)
        return features

    def shallow(self, scales: int) -> list[nn.Module]:
        """Returns the modules that compute the first ``scales`` feature maps."""
        last = str(self.net.feature_info.module_name(scales - 1))
        # A timm backbone lists its layers in the order in which they run; some flatten "a.b" to "a_b".
        prefix = f"{last}.".replace(".", "_")
        names = [name for name, _ in self.net.named_modules() if name]
        inside = [place for place, name in enumerate(names) if f"{name}.".replace(".", "_").startswith(prefix)]
        before, after = names[: max(inside) + 1], names[max(inside) + 1 :]
        # A module that also contains a later layer is not entirely shallow.
        whole = [name for name in before if not any(later.startswith(f"{name}.") for later in after)]
        return [self.net.get_submodule(name) for name in whole]

    def load_from_hub(self) -> None:
        """Loads ImageNet weights from timm's hub; raises whatever the hub's client raises."""
        import timm

        self.net.load_state_dict(timm.create_model(**self._made_of, pretrained=True).state_dict())
