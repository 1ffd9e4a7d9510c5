"""The Siamese U-Net: building it, storing it, and predicting with it."""

from typing import TYPE_CHECKING

from siamese.lazy import lazily
from siamese.model.decision import Decided, Decision, Probabilities, calibrate, class_raster, decide
from siamese.model.imagenet import load_imagenet
from siamese.model.network import NetworkOutput, SiameseUNet, build_network

if TYPE_CHECKING:
    from siamese.model.predictor import DeferredPredictor, Predictor
    from siamese.model.pretrained import load_pretrained, start_from
    from siamese.model.weights import NetworkConfig, load_network, put_network, read_config

__all__ = [
    "Decided",
    "Decision",
    "DeferredPredictor",
    "NetworkConfig",
    "NetworkOutput",
    "Predictor",
    "Probabilities",
    "SiameseUNet",
    "build_network",
    "calibrate",
    "class_raster",
    "decide",
    "load_imagenet",
    "load_network",
    "load_pretrained",
    "put_network",
    "read_config",
    "start_from",
]

# What needs storage comes on first access, so that the network itself also runs without storage.
__getattr__ = lazily(
    __name__,
    {
        "siamese.model.predictor": ("DeferredPredictor", "Predictor"),
        "siamese.model.pretrained": ("load_pretrained", "start_from"),
        "siamese.model.weights": ("NetworkConfig", "load_network", "put_network", "read_config"),
    },
)
