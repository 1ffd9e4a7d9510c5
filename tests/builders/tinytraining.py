"""Tiny scenes in xBD's layout that a tiny network can learn from, as a pair set."""

from __future__ import annotations

import json

import cv2
import numpy as np
import rasterio
import torch
from affine import Affine
from shapely import Polygon, box

from siamese.ingest import ingest
from siamese.learning.fabric import alone
from siamese.learning.learner import Learner
from siamese.manifests import PairSet, SceneCatalog
from siamese.model import SiameseUNet
from siamese.pairs import build_pairs
from siamese.params import IngestParams, NetworkParams, PairsParams, TrainingParams
from siamese.store import ObjectStore
from siamese.training.crops import Batch
from siamese.training.objective import DamageObjective, Output

SIDE = 96
SUBTYPES = ("no-damage", "minor-damage", "major-damage", "destroyed", "un-classified")
POST_GREY = {"no-damage": 220, "minor-damage": 170, "major-damage": 110, "destroyed": 60, "un-classified": 200}
NETWORK = NetworkParams(
    encoder="test_efficientnet", pretrained=False, decoder_channels=(16, 16, 8, 8), localization_channels=(16, 8, 8, 8)
)
TRAINING = TrainingParams(
    epochs=2,
    batch=2,
    crop_px=64,
    checkpoint_seconds=1e9,
    warmup_share=0.1,
    validate_every=1,
    # What learns for seconds is hardly ever sure.
    building_threshold=0.5,
    damaged_threshold=0.5,
    building_peak=0,
    minimum_core_px=0,
)


def tiny_pairs(store: ObjectStore, scenes: int = 6, bands: tuple[int, int] = (3, 3)) -> PairSet:
    """Bright buildings that darken with damage, far from each other; a third of the scenes to validation."""
    params = PairsParams(val_share=0.3, test_share=0, block_px=32)
    return build_pairs(tiny_catalog(store, scenes, bands), params, store)


def tiny_catalog(store: ObjectStore, scenes: int = 6, bands: tuple[int, int] = (3, 3)) -> SceneCatalog:
    """The scenes, with so many bands before and after: three are a PNG, others a GeoTIFF."""
    root = store.raw / "tiny"
    for number in range(scenes):
        for date, count in zip(("pre", "post"), bands, strict=True):
            name = f"quake_{number:08d}_{date}_disaster"
            image, label = _scene(number, date, count)
            suffix, data = _encoded(image, number)
            store.put(root / "images" / f"{name}.{suffix}", data)
            store.put(root / "labels" / f"{name}.json", json.dumps(label).encode())
    return ingest(root, IngestParams(bands=tuple(sorted(set(bands)))), store)


def _encoded(image: np.ndarray, number: int) -> tuple[str, bytes]:
    if image.shape[2] == 3:
        return "png", cv2.imencode(".png", image)[1].tobytes()
    # Four bands of a byte are else taken for RGB with alpha.
    profile = {"driver": "GTiff", "dtype": "uint8", "photometric": "minisblack", "alpha": "no"}
    place = {"crs": "EPSG:4326", "transform": Affine(1e-5, 0, number, 0, -1e-5, 10)}
    with rasterio.MemoryFile() as memory:
        with memory.open(width=SIDE, height=SIDE, count=image.shape[2], **profile, **place) as dataset:
            dataset.write(np.moveaxis(image, -1, 0))
        return "tif", memory.read()


def _scene(number: int, date: str, bands: int = 3) -> tuple[np.ndarray, dict[str, object]]:
    rng = np.random.default_rng((number, date == "pre"))
    image = rng.integers(40, 80, (SIDE, SIDE, bands)).astype(np.uint8)
    features: dict[str, list[object]] = {"xy": [], "lng_lat": []}
    for place, (footprint, subtype) in enumerate(_buildings(number)):
        left, top, right, bottom = map(int, footprint.bounds)
        image[top:bottom, left:right] = 220 if date == "pre" else POST_GREY[subtype]
        properties = {"feature_type": "building", "uid": f"{number}-{place}"}
        properties |= {"subtype": subtype} if date == "post" else {}
        degrees = Polygon([(number + x * 1e-5, 10 - y * 1e-5) for x, y in footprint.exterior.coords])
        features["xy"].append({"properties": properties, "wkt": footprint.wkt})
        features["lng_lat"].append({"properties": properties, "wkt": degrees.wkt})
    metadata = {"disaster": "quake", "disaster_type": "earthquake", "width": SIDE, "height": SIDE}
    return image, {"features": features, "metadata": metadata | {"img_name": f"quake_{number:08d}_{date}_disaster.png"}}


def _buildings(number: int) -> list[tuple[Polygon, str]]:
    rng = np.random.default_rng(number + 100)
    found = []
    for place in range(9):
        left, top = 32 * (place % 3) + int(rng.integers(2, 10)), 32 * (place // 3) + int(rng.integers(2, 10))
        subtype = SUBTYPES[(number + place) % 5]
        found.append((box(left, top, left + int(rng.integers(10, 18)), top + int(rng.integers(10, 18))), subtype))
    return found


def tiny_learner(network: SiameseUNet, params: TrainingParams) -> Learner[SiameseUNet, Batch, Output]:
    """A network on the CPU that learns damage, without storage."""
    objective = DamageObjective(params)
    return Learner(network, objective, alone(objective.recipe, torch.device("cpu")))
