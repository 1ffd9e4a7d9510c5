"""The Siamese U-Net: how it is built, kept, and asked for a prediction."""

from siamese.model.decision import Decided, Decision, Prediction, calibrate, class_raster, decide
from siamese.model.imagenet import load_imagenet
from siamese.model.network import NetworkOutput, SiameseUNet, build_network
from siamese.model.predictor import DeferredPredictor, Predictor
from siamese.model.pretrained import load_pretrained, start_from
from siamese.model.weights import NetworkConfig, load_network, put_network, read_config

__all__ = [
    "Decided",
    "Decision",
    "DeferredPredictor",
    "NetworkConfig",
    "NetworkOutput",
    "Prediction",
    "Predictor",
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
