"""What the examples share: a place to store things, the digits, drawn pictures, and one call that learns."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from localstorage import local_storage

from siamese.manifests import ItemSet, SimilarityModel
from siamese.params import ItemsParams, SimilarityParams
from siamese.similarity.data import pack_items
from siamese.similarity.data.arrays import found_in_arrays
from siamese.similarity.embedder import Embedder, load_embedder
from siamese.similarity.verb import train_similarity
from siamese.store import ObjectStore

Image = NDArray[np.uint8]
QUICK: dict[str, Any] = {"width": 16, "dim": 32, "epochs": 20, "batch": 64, "per_class": 8, "augment": 0.3}
"""A network that learns in seconds."""


def run(example: Callable[[ObjectStore, Path], None]) -> None:
    """Runs an example with an S3 server of its own that ends with it; ``--out`` names the folder of its picture."""
    parser = argparse.ArgumentParser(description=sys.modules[example.__module__].__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out", help="folder for the picture")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    with local_storage() as store:
        example(store, options.out)


def pack(
    values: NDArray[Any],
    labels: Sequence[object],
    store: ObjectStore,
    *,
    groups: Sequence[object] | None = None,
    **params: object,
) -> ItemSet:
    """Checks, splits and stores items of an array; whole classes are held out for validation and test."""
    asked = ItemsParams.model_validate({"val_share": 0.3, "test_share": 0.3, **params})
    return pack_items(found_in_arrays(values, labels, asked, groups=groups), asked, store)


def learn(items: ItemSet, store: ObjectStore, **params: object) -> tuple[SimilarityModel, Embedder]:
    """Trains a small network on items and loads it."""
    model = train_similarity(items, SimilarityParams.model_validate(QUICK | params), store)
    return model, load_embedder(store, model)


def digits(store: ObjectStore) -> ItemSet:
    """Returns scikit-learn's 1,797 handwritten digits: five classes to learn from, two to choose on, three to test."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return pack(
        (data.images * 255 / 16).astype(np.uint8), data.target.tolist(), store, kind="image", side_px=16, val_share=0.2
    )


def save(picture: bytes, out: Path, name: str) -> None:
    """Writes a picture and says where."""
    (out / name).write_bytes(picture)
    print(f"picture: {out / name}")


def place(seed: int, *, roofs: Sequence[int] = range(8), light: float = 1.0, noise: int = 0, side: int = 64) -> Image:
    """Draws a place as seen from above.

    Args:
        seed: The place.
        roofs: Numbers of the roofs that stand.
        light: Brightness.
        noise: Seed of the sensor's noise.
        side: Pixels.

    Returns:
        (side, side, 3) uint8 RGB.
    """
    rng = np.random.default_rng(seed)
    ground = cv2.resize(rng.uniform(70, 130, (5, 5, 3)), (side, side), interpolation=cv2.INTER_CUBIC)
    spots = rng.permutation(16)
    for number in range(8):
        size, colour = rng.integers(side // 10, side // 5, 2), rng.uniform(30, 240, 3).tolist()
        if number in roofs:
            left, top = (spots[number] % 4) * side // 4 + 1, (spots[number] // 4) * side // 4 + 1
            cv2.rectangle(ground, (int(left), int(top)), (int(left + size[0]), int(top + size[1])), colour, -1)
    grain = np.random.default_rng([seed, noise]).normal(0, 6, ground.shape)
    return np.clip(ground * light + grain, 0, 255).astype(np.uint8)
