"""Says of two images of one place whether it changed, by a distance learned with the contrastive loss.

Images of a place in other light are the same; where a roof is gone they are not. The network learns that from places
other than those that it is asked about.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from common import learn, pack, place, run, save

from siamese.manifests import ItemSet
from siamese.similarity.changes import changed_pairs
from siamese.similarity.files import change_sheet
from siamese.store import ObjectStore

PLACES, STATES = 24, 3


def states_of_places(store: ObjectStore, **params: Any) -> ItemSet:  # noqa: ANN401
    """Stores images of places: each state of a place, with some of its roofs gone, is a class of its own."""
    images, labels, groups = [], [], []
    for seed in range(PLACES):
        for state in range(STATES):
            for look in range(4):
                roofs = range(8) if state == 0 else np.delete(np.arange(8), [2 * state, 2 * state + 1])
                images.append(place(seed, roofs=tuple(roofs), light=0.8 + 0.13 * look, noise=look))
                labels.append(f"place {seed}, state {state}")
                groups.append(seed)
    return pack(np.stack(images), labels, store, kind="image", side_px=64, **params)


def main(store: ObjectStore, out: Path) -> None:
    """Learns, then asks about eight new places, half of which changed."""
    model, embedder = learn(states_of_places(store), store, loss="contrastive", epochs=12, per_class=4, augment=0.0)
    report(model.start, embedder, out, "change_of_two_images.png")


def report(start: str, embedder: Any, out: Path, name: str) -> None:  # noqa: ANN401
    """Asks about new places and draws the answers."""
    seeds = range(1000, 1020)
    before = [place(seed, light=0.9, noise=8) for seed in seeds]
    after = [place(seed, roofs=range(8) if seed % 2 else (0, 1, 2, 3, 6), light=1.05, noise=9) for seed in seeds]
    answers = changed_pairs(embedder, [f"place {seed}" for seed in seeds], before, after)
    right = sum(answer.changed == (seed % 2 == 0) for seed, answer in zip(seeds, answers, strict=True))
    print(f"first weights: {start}; threshold {answers[0].threshold:.3f}")
    print(f"{right} of {len(answers)} new places right")
    save(change_sheet(embedder, answers, before, after), out, name)


if __name__ == "__main__":
    run(main)
