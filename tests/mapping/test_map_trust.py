"""A map says how far it may be trusted: how its model was scored, on what, and whether the map is like that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders.made_rasters import Colours, pair, write
from builders.tinytraining import NETWORK, TRAINING, tiny_pairs

from siamese.errors import SiameseError
from siamese.evaluation import evaluate
from siamese.manifests import Checkpoint
from siamese.mapping import map_pair
from siamese.mapping.look import FEATURES, LearnedLook
from siamese.mapping.trust import background
from siamese.params import EvaluationParams, MappingParams
from siamese.store import ObjectStore
from siamese.training import train

PARAMS = MappingParams(tile_px=128, overlap_px=0, minimum_building_m2=0)


@pytest.mark.usefixtures("one_thread", "no_mlflow")
def test_a_map_tells_the_score_of_its_model_and_what_it_learned(store: ObjectStore, tmp_path: Path) -> None:
    pairs = tiny_pairs(store)
    checkpoint = train(pairs, NETWORK, TRAINING.model_copy(update={"precision": "fp32", "loader_threads": 1}), store)
    evaluation = evaluate(checkpoint, pairs, EvaluationParams(split="val", resamples=10, workers=1), store)
    learned, found = background(store, checkpoint.digest)
    assert found == evaluation
    assert learned is not None
    assert learned.events == tuple(sorted(pairs.splits["train"].events))
    images = pair(128, 128, (20, 20, 30, 30, 1))
    paths = [[str(write(tmp_path / f"{n}.tif", image))] for n, image in enumerate(images)]
    made = map_pair(*paths, checkpoint, PARAMS, store, predictor=Colours(), disaster_type="wind")
    trust = made.trust
    assert trust is not None
    assert (trust.evaluation, trust.scores, trust.split) == (evaluation.digest, evaluation.scores, "val")
    assert trust.scored_on == tuple(sorted(pairs.splits["val"].events))
    assert trust.unseen_events == (not set(trust.scored_on) & set(learned.events))
    assert trust.gsd_m == pytest.approx(0.5, rel=1e-3)
    assert trust.disaster_inside is False, "the tiny set has fewer scenes of it than a model learns from"
    assert trust.review_share == 0
    assert any(f"reached a score of {evaluation.scores.score:.2f}" in line for line in trust.statements)
    assert any("not good enough to be promoted" in line for line in trust.statements)
    assert all("\n" not in line for line in trust.statements)


def test_looks_beyond_what_was_learned_are_named() -> None:
    learned = LearnedLook(np.zeros(len(FEATURES)), np.full(len(FEATURES), 10.0))
    usual, bright = [5.0] * len(FEATURES), [5.0] * len(FEATURES)
    bright[FEATURES.index("post brightness")] = 90.0
    assert learned.inside([usual, bright, bright]) == pytest.approx(1 / 3)
    assert learned.odd([usual, bright, bright]) == ("post brightness high",)
    assert learned.inside([]) is None


def test_pixels_of_the_size_that_was_learned_need_a_model_that_knows_it(
    store: ObjectStore, tmp_path: Path, checkpoint: Checkpoint
) -> None:
    images = pair(64, 64, (20, 20, 30, 30, 1))
    paths = [[str(write(tmp_path / f"{n}.tif", image))] for n, image in enumerate(images)]
    with pytest.raises(SiameseError, match=r"mapping\.gsd: learned: is not known"):
        map_pair(*paths, checkpoint, PARAMS.model_copy(update={"gsd": "learned"}), store, predictor=Colours())
