"""Digits from pairs: contrastive loss, a threshold chosen on held-out classes, and the pairs that are decided worst.

The classic first text on Siamese networks, on scikit-learn's digits; three classes are kept for the end.
"""

from __future__ import annotations

from pathlib import Path

from common import digits, learn, run, save

from siamese.params import SimilarityEvaluationParams
from siamese.similarity.data.reader import need_items
from siamese.similarity.plots import draw_plots
from siamese.similarity.report import measure
from siamese.store import ObjectStore


def main(store: ObjectStore, out: Path) -> None:
    """Learns, chooses the threshold, tests on unseen digits, draws the gallery."""
    items = digits(store)
    model, embedder = learn(items, store, loss="contrastive")
    tested = need_items(items, "test", store)
    measured = measure(embedder, tested, "test", SimilarityEvaluationParams())
    scores = measured.report.scores
    print(f"classes never seen: {', '.join(tested.names)}; AUC {scores.auc:.3f}, equal error {scores.eer:.3f}")
    accepts, rejects = scores.false_accepts, scores.false_rejects
    print(f"threshold {measured.report.threshold:.3f}: false accepts {accepts:.3f}, false rejects {rejects:.3f}")
    for name, picture in draw_plots(measured, tested, model.curves.read(store)).items():
        save(picture, out, f"digits_{name.removesuffix('.png')}.png")


if __name__ == "__main__":
    run(main)
