"""Verification with a known image: is this the digit on file? At a rate of false accepts chosen beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from common import digits, learn, run, save

from siamese.similarity.classify import verify
from siamese.similarity.data.reader import need_items
from siamese.similarity.plots import sheet
from siamese.store import ObjectStore


def main(store: ObjectStore, out: Path) -> None:
    """Keeps one image of an unseen digit on file and verifies others against it."""
    items = digits(store)
    model, embedder = learn(items, store, loss="contrastive", threshold="far", false_accepts=0.05)
    tested = need_items(items, "test", store)
    classes = np.array(tested.classes)
    known = int(np.flatnonzero(classes == tested.names[0])[0])
    rng = np.random.default_rng(1)
    same = rng.choice(np.flatnonzero(classes == classes[known])[1:], 6, replace=False)
    other = rng.choice(np.flatnonzero(classes != classes[known]), 6, replace=False)
    rows, right = [[(tested.values[known], "on file")]], 0
    for places, truth in ((same, True), (other, False)):
        answers = [verify(embedder, tested.values[known], tested.values[one]) for one in places]
        right += sum(answer.same is truth for answer in answers)
        told = [f"{'same' if answer.same else 'other'} {answer.distance:.2f}" for answer in answers]
        rows.append(list(zip(tested.values[places], told, strict=True)))
    threshold = model.threshold
    if threshold:
        rates = f"{threshold.false_accepts:.3f} false accepts, {threshold.false_rejects:.3f} false rejects"
        print(f"threshold {threshold.distance:.3f}: {rates} on validation")
    print(f"{right} of 12 right")
    save(sheet(rows, "image", "on file; the same digit; others"), out, "verification.png")


if __name__ == "__main__":
    run(main)
