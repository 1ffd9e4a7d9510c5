"""Triplets: an anchor, one of its class and one of another; semi-hard triplets are mined in each batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from common import digits, learn, run, save
from sklearn.decomposition import PCA

from siamese.similarity.data.reader import need_items
from siamese.similarity.embedder import embed_items
from siamese.similarity.plots import figure_of, png
from siamese.store import ObjectStore


def main(store: ObjectStore, out: Path) -> None:
    """Learns from triplets and draws the vectors of digits that it never saw."""
    items = digits(store)
    model, embedder = learn(items, store, loss="triplet", miner="semihard", margin=0.3)
    tested = need_items(items, "test", store)
    flat = PCA(2).fit_transform(embed_items(embedder, tested))
    figure, axes = figure_of(5, 4.6)
    for number, name in enumerate(tested.names):
        own = flat[np.array(tested.classes) == name]
        axes[0, 0].scatter(*own.T, s=8, color=f"C{number}", label=f"digit {name}")
    axes[0, 0].set(title="vectors of unseen digits, two main directions", xticks=[], yticks=[])
    axes[0, 0].legend()
    print(f"AUC on validation classes {model.figures['auc']:.3f}")
    save(png(figure), out, "triplet.png")


if __name__ == "__main__":
    run(main)
