"""Compares time series by 1-D convolutions, and finds where a long series changes.

Classes are waveforms of their own rhythm; the network is asked about waveforms that it never saw.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from common import learn, pack, run, save
from numpy.typing import NDArray

from siamese.similarity.changes import series_changes
from siamese.similarity.files import series_sheet
from siamese.store import ObjectStore

STEPS = 64


def wave(kind: int, steps: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns a series of one of many kinds, in another phase each time."""
    own = np.random.default_rng(kind)
    at = np.arange(steps) / STEPS + rng.uniform(0, 1)
    tones = sum(own.uniform(0.3, 1) * np.sin(2 * np.pi * own.uniform(1, 14) * at + own.uniform(0, 6)) for _ in range(3))
    return np.asarray(tones + rng.normal(0, 0.15, steps), np.float32)


def main(store: ObjectStore, out: Path) -> None:
    """Learns from 14 kinds of waves, and cuts a series of six others where they change."""
    rng = np.random.default_rng(0)
    kinds = range(20)
    values = np.stack([wave(kind, STEPS, rng) for kind in kinds for _ in range(20)])
    items = pack(values, np.repeat(kinds, 20).tolist(), store, kind="series", val_share=0.25, test_share=0.05)
    model, embedder = learn(items, store, loss="contrastive", attention=True, epochs=20, margin=1.0)
    long = np.concatenate([wave(kind, 160, rng) for kind in range(100, 106)])
    changes, curve = series_changes(embedder, long, window=STEPS, stride=2)
    true = np.arange(160, len(long), 160)
    hit = sum(bool(changes) and min(abs(change.step - step) for change in changes) <= 16 for step in true)
    print(f"verification on unseen kinds: AUC {model.figures['auc']:.3f}")
    print(f"{hit} of {len(true)} changes found within 16 steps, {len(changes)} told")
    save(series_sheet(long[None], curve, changes), out, "series.png")


if __name__ == "__main__":
    run(main)
