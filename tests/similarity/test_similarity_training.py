"""Similarity training: what it learns from each kind of items, with each loss, published once and resumable."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from madeitems import packing, picture, quick, series, write_folder

from siamese.embedding.encoders import SimilarityEncoder
from siamese.errors import SiameseError
from siamese.learning.learner import Learner
from siamese.manifests import ItemSet, SimilarityModel
from siamese.params import SimilarityParams
from siamese.similarity.classify import classify, threshold_of, verify
from siamese.similarity.data import pack_items
from siamese.similarity.data.arrays import found_in_arrays
from siamese.similarity.data.reader import need_items
from siamese.similarity.embedder import load_embedder
from siamese.similarity.verb import train_similarity
from siamese.similarity.verification import verification_pairs
from siamese.store import ObjectStore


@pytest.fixture(autouse=True)
def alone(no_mlflow: None, one_thread: None) -> None:
    """Nothing outside is told."""


@pytest.fixture
def images(store: ObjectStore, tmp_path: Path) -> ItemSet:
    return pack_items(write_folder(tmp_path / "data"), packing(), store)


LOSSES = [
    {"loss": "contrastive"},
    {"loss": "contrastive", "distance": "squared_euclidean", "miner": "multi_similarity"},
    {"loss": "contrastive", "distance": "manhattan", "normalized": False, "margin": 5.0},
    {"loss": "contrastive", "distance": "cosine"},
    {"loss": "triplet", "miner": "semihard"},
    {"loss": "triplet", "miner": "hard", "distance": "cosine"},
    {"loss": "triplet", "miner": "distance_weighted"},
    {"loss": "bce", "distance": "learned", "normalized": False},
    {"loss": "multi_similarity", "distance": "cosine"},
    {"loss": "ntxent", "distance": "cosine"},
    {"loss": "supcon", "distance": "cosine"},
    {"loss": "circle", "distance": "cosine"},
    {"loss": "arcface", "distance": "cosine"},
    {"loss": "normalized_softmax", "distance": "cosine"},
    {"loss": "proxy_anchor", "distance": "cosine"},
]


@pytest.mark.parametrize("changes", LOSSES, ids=lambda one: "-".join(map(str, one.values())))
def test_every_loss_tells_classes_apart_that_it_never_saw(
    images: ItemSet, store: ObjectStore, changes: dict[str, object]
) -> None:
    made = train_similarity(images, quick(**changes), store)
    assert made.figures["auc"] > 0.9
    assert made.threshold
    assert made.threshold.pairs > 50
    assert train_similarity(images, quick(**changes), store) == made


def test_an_embedder_gives_vectors_whose_distance_tells(images: ItemSet, store: ObjectStore, tmp_path: Path) -> None:
    made = train_similarity(images, quick(), store)
    embedder = load_embedder(store, SimilarityModel.load(store, made.digest))
    files = [tmp_path / "data" / f"class{number}" / f"{item}.png" for number in (0, 1) for item in (0, 1)]
    vectors = embedder.embed(files)
    assert vectors.shape == (4, 16)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    between = embedder.between(vectors, vectors)
    assert max(between[0, 1], between[2, 3]) < between[:2, 2:].min()
    np.testing.assert_array_equal(embedder.embed(embedder.prepare(files)), vectors)


def test_stopped_and_resumed_it_ends_with_the_same_weights(
    images: ItemSet, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = quick(loss="arcface", distance="cosine", augment=0.5, ema_decay=0.9)
    whole = train_similarity(images, params, store)
    store.erase(SimilarityModel.folder(store, whole.digest))
    step = Learner.step

    def stopping(self: Learner, *given: object) -> dict[str, float]:
        if self.steps == 4:
            signal.raise_signal(signal.SIGTERM)
        return step(self, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", stopping)
        with pytest.raises(SiameseError, match="similarity: stopped by SIGTERM after step 5; its state is kept"):
            train_similarity(images, params, store)
    assert train_similarity(images, params, store).weights.sha256 == whole.weights.sha256


@pytest.mark.parametrize("kind", ["series", "attention", "vector", "text"])
def test_it_learns_from_series_vectors_and_texts(store: ObjectStore, kind: str) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 8)
    changes: dict[str, object] = {}
    if kind == "text":
        words = ["".join(chr(97 + letter) for letter in np.random.default_rng(n).integers(0, 26, 8)) for n in range(8)]
        from siamese.similarity.data.items import Found, RawItem

        found = Found("text", [RawItem(str(i), str(n), words[n] + "x" * (i % 3)) for i, n in enumerate(labels)])
    elif kind == "vector":
        centres = np.random.default_rng(1).normal(0, 1, (8, 12))
        values = (centres[labels] + rng.normal(0, 0.3, (64, 12))).astype(np.float32)
        found = found_in_arrays(values, labels.tolist(), packing())
    else:
        values = np.stack([series(number, rng) for number in labels])
        found = found_in_arrays(values, labels.tolist(), packing(kind="series"))
        changes = {"attention": kind == "attention"}
    items = pack_items(found, packing(), store, name=kind)
    made = train_similarity(items, quick(epochs=15, augment=0.2, **changes), store)
    assert made.figures["auc"] > 0.85


def test_two_kinds_of_input_have_an_encoder_each(store: ObjectStore, tmp_path: Path) -> None:
    import cv2

    rng = np.random.default_rng(0)
    for number in range(8):
        for name, sign in (("photo", 1), ("sketch", -1)):
            folder = tmp_path / "data" / f"c{number}" / name
            folder.mkdir(parents=True)
            for item in range(4):
                image = picture(number, rng)
                cv2.imwrite(str(folder / f"{item}.png"), image if sign > 0 else 255 - image)
    items = pack_items(tmp_path / "data", packing(branches=["photo", "sketch"]), store)
    assert items.classes == {"test": 2, "train": 4, "val": 2}
    made = train_similarity(items, quick(relation="pseudo", epochs=20), store)
    embedder = load_embedder(store, made)
    assert len(embedder.network.branches) == 2
    # Verified as it is asked: a photo with a sketch. So is classified: examples are photos, items sketches.
    assert made.threshold is not None
    split = need_items(items, "val", store)
    pairs = verification_pairs(split, 1000, 1, across=True)
    assert pairs is not None
    assert set(split.branch[pairs.first]) == {0}
    assert set(split.branch[pairs.second]) == {1}
    assert len({*zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)}) == len(pairs.same) == 64
    assert pairs.same.sum() == 32
    near, sketch = (tmp_path / "data" / "c0" / name / "1.png" for name in ("photo", "sketch"))
    (answer,) = classify(embedder, [sketch], {"c0": [near]}, threshold=0)
    assert answer.distance == pytest.approx(verify(embedder, near, sketch).distance)
    with pytest.raises(SiameseError, match="compares two kinds of input"):
        SimilarityEncoder(made.digest, store)
    photo = embedder.embed([tmp_path / "data" / "c0" / "photo" / "0.png"])
    assert not np.allclose(photo, embedder.embed([tmp_path / "data" / "c0" / "photo" / "0.png"], branch=1))
    with pytest.raises(SiameseError, match="needs two kinds of input"):
        train_similarity(pack_items(tmp_path / "data", packing(), store), quick(relation="pseudo"), store)


def test_turned_and_composed_characters_are_classes_of_their_own(images: ItemSet, store: ObjectStore) -> None:
    params = quick(turned_classes="turns_and_mirrors", composed_share=0.5, augment=0.5, loss="ntxent", batch=64)
    assert train_similarity(images, params, store).figures["auc"] > 0.9
    with pytest.raises(SiameseError, match="loss arcface: has a fixed list of classes"):
        train_similarity(images, quick(loss="arcface", composed_share=0.5), store)


def test_a_timm_encoder_is_fine_tuned_or_frozen(store: ObjectStore, tmp_path: Path) -> None:
    items = pack_items(write_folder(tmp_path / "data", bands=3), packing(side_px=32), store)
    shared = {"encoder": "tf_efficientnet_lite0", "epochs": 2, "batch": 16}
    frozen = train_similarity(items, quick(frozen=True, **shared), store)
    tuned = train_similarity(items, quick(**shared), store)
    assert frozen.weights.sha256 != tuned.weights.sha256
    with pytest.raises(SiameseError, match=r"takes? images of 16 pixels — set items.side_px to a multiple of 32"):
        train_similarity(pack_items(tmp_path / "data", packing(), store), quick(encoder="resnet18"), store)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"loss": "bce"}, "go together"),
        ({"batch": 6}, "must hold two classes"),
        ({"miner": "distance_weighted", "normalized": False}, "needs similarity.normalized"),
    ],
)
def test_params_that_do_not_fit_together_are_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SimilarityParams.model_validate(changes)


def test_a_model_without_pairs_to_validate_says_so(
    store: ObjectStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    items = pack_items(write_folder(tmp_path / "data"), packing(val_share=0.0), store)
    made = train_similarity(items, quick(), store)
    assert made.threshold is None
    assert "has no threshold and no figures" in caplog.text
    with pytest.raises(SiameseError, match="is no distance"):
        threshold_of(load_embedder(store, made), float("nan"))
