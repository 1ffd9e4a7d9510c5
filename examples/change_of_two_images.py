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

PLACES, STATES, LOOKS = 40, 6, 3


def states_of_places(store: ObjectStore, places: int = PLACES) -> ItemSet:
    """Stores images of places: each state of a place, with some of its roofs gone, is a class of its own."""
    images, labels, groups = [], [], []
    for seed in range(places):
        rng = np.random.default_rng(seed)
        for state in range(STATES):
            gone = rng.choice(8, min(state, 3), replace=False)
            for look in range(LOOKS):
                roofs = tuple(np.setdiff1d(np.arange(8), gone).tolist())
                images.append(place(seed, roofs=roofs, light=0.8 + 0.2 * look, noise=LOOKS * state + look))
                labels.append(f"place {seed}, state {state}")
                groups.append(seed)
    return pack(np.stack(images), labels, store, groups=groups, kind="image", side_px=64, split="group")


def main(store: ObjectStore, out: Path) -> None:
    """Learns, then asks about eight new places, half of which changed."""
    model, embedder = learn(
        states_of_places(store), store, loss="contrastive", one_group=True, per_class=4, augment=0.0
    )
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
