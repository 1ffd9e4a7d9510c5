"""Similar-product search: which products of a shop look most like this one? By a pre-trained network, no training."""

from __future__ import annotations

from pathlib import Path

import cv2
import faiss
import numpy as np
from common import Image, run, save

from siamese.embedding.encoders import TimmEncoder
from siamese.similarity.plots import sheet
from siamese.store import ObjectStore

KINDS = ("mug", "bottle", "lamp", "chair", "clock")


def product(kind: str, seed: int) -> Image:
    """Draws a product on white, (128, 128, 3) uint8 RGB; each seed has another colour, size and place."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    image = np.full((128, 128, 3), 250, np.uint8)
    colour, dark = rng.integers(40, 220, 3).tolist(), (60, 60, 60)
    match kind:
        case "mug":
            cv2.ellipse(image, (88, 66), (16, 20), 0, 0, 360, colour, 6)
            cv2.rectangle(image, (34, 40), (86, 96), colour, -1)
        case "bottle":
            cv2.rectangle(image, (48, 52), (80, 112), colour, -1)
            cv2.rectangle(image, (58, 20), (70, 52), colour, -1)
            cv2.rectangle(image, (56, 14), (72, 22), dark, -1)
        case "lamp":
            cv2.fillPoly(image, [np.array([[44, 20], [84, 20], [100, 64], [28, 64]])], colour)
            cv2.line(image, (64, 64), (64, 110), dark, 5)
            cv2.line(image, (44, 110), (84, 110), dark, 6)
        case "chair":
            cv2.rectangle(image, (40, 16), (50, 70), colour, -1)
            cv2.rectangle(image, (40, 66), (92, 78), colour, -1)
            for x in (44, 88):
                cv2.line(image, (x, 78), (x, 114), dark, 5)
        case _:
            cv2.circle(image, (64, 64), 46, colour, -1)
            cv2.circle(image, (64, 64), 38, (250, 250, 250), -1)
            cv2.line(image, (64, 64), (64, 36), dark, 4)
            cv2.line(image, (64, 64), (84, 74), dark, 4)
    centre, shift = (64, 64), rng.uniform(-6, 6, 2)
    move = cv2.getRotationMatrix2D(centre, float(rng.uniform(-8, 8)), float(rng.uniform(0.75, 1.1)))
    move[:, 2] += shift
    return np.asarray(cv2.warpAffine(image, move, (128, 128), borderValue=(250, 250, 250)), np.uint8)


def main(store: ObjectStore, out: Path) -> None:
    """Embeds a shop of 100 products and searches it with a new one of each kind."""
    del store
    shop = [(kind, product(kind, seed)) for kind in KINDS for seed in range(20)]
    encoder = TimmEncoder("tf_efficientnet_lite0")
    vectors = encoder.embed(np.stack([image for _, image in shop]))
    asked = [(kind, product(kind, 100)) for kind in KINDS]
    queries = encoder.embed(np.stack([image for _, image in asked]))
    for values in (vectors, queries):
        faiss.normalize_L2(values)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    similar, found = index.search(queries, 6)
    right = np.mean([shop[one][0] == kind for (kind, _), row in zip(asked, found, strict=True) for one in row])
    print(f"weights: {encoder.start}; {right:.2f} of the six most alike are of the same kind")
    rows = []
    for (kind, image), row, cosines in zip(asked, found, similar, strict=True):
        alike = [(shop[one][1], f"{cosine:.2f}") for one, cosine in zip(row, cosines, strict=True)]
        rows.append([(image, f"asked: {kind}"), *alike])
    save(sheet(rows, "image", "what was asked, and the most alike"), out, "product_search.png")


if __name__ == "__main__":
    run(main)
