"""One tiny run of each stage, whose outputs are known: what a statement of "same results" is held against.

Outputs that no floating-point arithmetic decides have the same sha256 everywhere. Others have it on the processor and
with the libraries that the file names; elsewhere their figures agree closely. After a change that is meant to change
results (and a raised version), write the file anew:

    SIAMESE_GOLDEN=write python -m pytest tests/golden
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import rasterio
from builders.tinytraining import NETWORK, TRAINING, tiny_pairs
from rasterio.session import AWSSession

from siamese.evaluation import evaluate
from siamese.geo import local_gdal
from siamese.ingest.catalog import read_catalog
from siamese.manifests import BuildingSet, Prediction, SceneCatalog
from siamese.mapping import map_scene
from siamese.model.weights import deserialize
from siamese.params import EvaluationParams, MappingParams
from siamese.store import Blob, ObjectStore
from siamese.store.provenance import Surroundings
from siamese.training import train

FILE = Path(__file__).with_name("golden.json")
EXACT = {"catalog", "pair-set"}
"""Stages without floating-point arithmetic that processors differ in."""


@pytest.mark.usefixtures("one_thread", "no_mlflow")
def test_each_stage_gives_what_it_gave(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIAMESE_BACKEND", "torch")
    with patch.object(AWSSession, "__init__", side_effect=AssertionError("GDAL makes a session, slower than its work")):
        made = _run(store)
    if os.environ.get("SIAMESE_GOLDEN") == "write":
        FILE.write_text(json.dumps({"surroundings": _here(), "stages": made}, indent=1) + "\n")
    golden = json.loads(FILE.read_text())
    same_machine = golden["surroundings"] == _here()
    assert made.keys() == golden["stages"].keys()
    for stage, outputs in made.items():
        known = golden["stages"][stage]
        assert outputs["figures"] == pytest.approx(known["figures"], rel=0.02, abs=0.02), stage
        if same_machine or stage in EXACT:
            assert outputs["sha256"] == known["sha256"], f"{stage}: other bytes than before"


def _here() -> dict[str, Any]:
    return Surroundings.here().model_dump(mode="json", exclude={"python"})


def _run(store: ObjectStore) -> dict[str, dict[str, Any]]:
    pairs = tiny_pairs(store)
    catalog = SceneCatalog.load(store, pairs.origin.sources["catalog"])
    scenes = list(read_catalog(store, catalog))
    training = TRAINING.model_copy(update={"precision": "fp32", "loader_threads": 1})
    checkpoint = train(pairs, NETWORK, training, store)
    evaluation = evaluate(checkpoint, pairs, EvaluationParams(split="val", resamples=10, workers=1), store)
    made = map_scene(scenes[0], checkpoint, MappingParams(tile_px=64, overlap_px=16), store)
    prediction = Prediction.load(store, str(made.prediction))
    buildings = BuildingSet.load(store, str(made.building_set))
    weights = deserialize(checkpoint.weights.read(store), checkpoint.weights.uri)
    classes = _raster(buildings.classes, store)
    return {
        "catalog": _known(
            "\n".join(f"{one.scene} {one.verdict} {one.width} {one.buildings} {one.bounds}" for one in scenes).encode(),
            accepted=catalog.accepted,
        ),
        "pair-set": _known(b"".join(blob.sha256.encode() for blob in pairs.shards), shards=len(pairs.shards)),
        "checkpoint": _known(
            checkpoint.weights.read(store),
            norm=float(np.sqrt(sum(float((tensor.float() ** 2).sum()) for tensor in weights.values()))),
            loss=float(pd.read_csv(io.BytesIO(checkpoint.curves.read(store)))["loss"].iloc[-1]),
        ),
        "evaluation": _known(evaluation.scores.model_dump_json().encode(), **evaluation.scores.model_dump()),
        "prediction": _known(
            b"".join(block.data.sha256.encode() for block in prediction.blocks if block.data),
            blocks=len(prediction.blocks),
        ),
        "building-set": _known(
            classes.tobytes(),
            building_share=float(((classes > 0) & (classes < 255)).mean()),
            unknown=float((classes == 255).mean()),
        ),
        "damage-map": _known(_raster(made.classes, store).tobytes(), width=made.width, height=made.height),
    }


def _known(data: bytes, **figures: float) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "figures": figures}


def _raster(blob: Blob, store: ObjectStore) -> np.ndarray:
    with local_gdal(), rasterio.MemoryFile(blob.read(store)) as memory, memory.open() as dataset:
        return dataset.read(1)
