"""The change of two images with VGG16, frozen: only one linear layer on top of its features is learned.

VGG16's ImageNet weights come from timm's hub. Without a network its weights are random, which the output says; then
EfficientNet-Lite0, whose weights a package carries, shows what pre-trained features are worth.
"""

from __future__ import annotations

from pathlib import Path

from change_of_two_images import report, states_of_places
from common import learn, run

from siamese.model.imagenet import RANDOM
from siamese.store import ObjectStore


def main(store: ObjectStore, out: Path) -> None:
    """Learns on frozen VGG16, and on a frozen encoder with weights at hand if VGG16 has none."""
    items = states_of_places(store, places=14)
    for encoder in ("vgg16", "tf_efficientnet_lite0"):
        print(f"{encoder}, frozen:")
        params = {"encoder": encoder, "frozen": True, "epochs": 3, "per_class": 4, "augment": 0.0, "one_group": True}
        model, embedder = learn(items, store, loss="contrastive", **params)
        report(model.start, embedder, out, f"change_with_frozen_{encoder}.png")
        if model.start != RANDOM:
            break


if __name__ == "__main__":
    run(main)
