"""Cosine instead of Euclidean distance: the same digits and network, learned with either."""

from __future__ import annotations

from pathlib import Path

from common import digits, learn, run, save

from siamese.params import SimilarityEvaluationParams
from siamese.similarity.data.reader import need_items
from siamese.similarity.plots import draw_plots
from siamese.similarity.report import measure
from siamese.store import ObjectStore


def main(store: ObjectStore, out: Path) -> None:
    """Learns both, and draws how the distances of same and of other pairs lie."""
    items = digits(store)
    tested = need_items(items, "test", store)
    for distance in ("euclidean", "cosine"):
        model, embedder = learn(items, store, loss="contrastive", distance=distance)
        measured = measure(embedder, tested, "test", SimilarityEvaluationParams())
        scores = measured.report.scores
        print(f"{distance}: AUC {scores.auc:.3f}, equal error {scores.eer:.3f} on unseen digits")
        picture = draw_plots(measured, tested, model.curves.read(store))["distances"]
        save(picture, out, f"cosine_distance_{distance}.png")


if __name__ == "__main__":
    run(main)
