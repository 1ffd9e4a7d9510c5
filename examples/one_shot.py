"""One-shot classification: one example of each class that the network never saw, then five."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from common import digits, learn, run, save

from siamese.similarity.classify import classify_vectors
from siamese.similarity.data.reader import need_items
from siamese.similarity.embedder import embed_items
from siamese.similarity.plots import sheet
from siamese.store import ObjectStore


def main(store: ObjectStore, out: Path) -> None:
    """Names unseen digits by one and by five examples of each."""
    items = digits(store)
    _, embedder = learn(items, store, loss="contrastive")
    tested = need_items(items, "test", store)
    vectors, classes = embed_items(embedder, tested), np.array(tested.classes)
    right = {}
    for shots in (1, 5):
        hits = []
        for seed in range(20):
            rng = np.random.default_rng(seed)
            shown = {name: rng.choice(np.flatnonzero(classes == name), shots, replace=False) for name in tested.names}
            asked = np.setdiff1d(np.arange(len(tested)), np.concatenate(list(shown.values())))
            known = {name: vectors[places] for name, places in shown.items()}
            answers = classify_vectors(embedder, vectors[asked], [str(one) for one in asked], known, np.inf)
            hits.append(np.mean([answer.nearest == name for answer, name in zip(answers, classes[asked], strict=True)]))
        right[shots] = float(np.mean(hits))
        print(f"{shots} example{'s' if shots > 1 else ''} a class: {right[shots]:.3f} right (20 draws)")
    examples = [(tested.values[places[0]], f"example of {name}") for name, places in shown.items()]
    named = [(tested.values[one], f"named {answer.nearest}") for one, answer in zip(asked, answers, strict=True)]
    step = len(named) // 6
    save(sheet([examples, named[:: step or 1][:6]], "image", "examples, and digits named by them"), out, "one_shot.png")


if __name__ == "__main__":
    run(main)
