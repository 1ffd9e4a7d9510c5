"""Tiny runs of the stages, whose outputs are known: what a statement of "same results" is held against.

Outputs that no floating-point arithmetic decides have the same sha256 everywhere. Others have it on the processor and
with the libraries that the file names; elsewhere their figures agree closely. After a change that is meant to change
results (and a raised version), write the file anew:

    SIAMESE_GOLDEN=write python -m pytest tests/golden
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import rasterio
from builders.labelled import SIDE, feature, layout, write_labels
from builders.made_rasters import SMALL, Colours, pair, write
from builders.tinytraining import NETWORK, TRAINING, tiny_pairs
from rasterio.session import AWSSession
from similarity.madeitems import packing, quick, write_folder

from siamese.adaptation.assessment import assess_map, draw_sample
from siamese.adaptation.verb import adapt_map
from siamese.classes import DAMAGE_CLASSES
from siamese.duplicates import duplicates_of_catalog
from siamese.duplicates.kept import described
from siamese.embedding import embed_map
from siamese.embedding.search import build_search_index
from siamese.evaluation import evaluate
from siamese.geo import local_gdal
from siamese.ingest.catalog import Scene, read_catalog
from siamese.manifests import BuildingSet, Checkpoint, LabelSet, Prediction, Pretraining, SceneCatalog, SimilarityModel
from siamese.mapping import map_pair, map_scene
from siamese.model.weights import deserialize
from siamese.params import (
    AdaptationParams,
    EmbeddingParams,
    EvaluationParams,
    MappingParams,
    PretrainingParams,
    PromotionParams,
    QuantizationParams,
    SearchParams,
    SimilarityEvaluationParams,
)
from siamese.pretraining import pretrain
from siamese.quantization import quantize
from siamese.registry import register
from siamese.similarity.data import pack_items
from siamese.similarity.evaluate import evaluate_similarity
from siamese.similarity.verb import train_similarity
from siamese.stages import declared_versions
from siamese.store import Blob, ObjectStore
from siamese.store.provenance import Surroundings
from siamese.training import train
from siamese.viewing.publishing import publish_page
from siamese.viewing.verb import ViewParams

FILE = Path(__file__).with_name("golden.json")
EXACT = {"catalog", "pair-set"}
"""Stages without floating-point arithmetic that processors differ in."""
EMBEDDING = EmbeddingParams(window_px=128, margin_px=32)
PRETRAINING = PretrainingParams.model_validate(
    {"method": "simsiam", "crop_px": 64, "batch": 4, "epochs": 2, "hidden_dim": 32, "projection_dim": 16}
    | {"context": 1.2, "checkpoint_seconds": 1e9, "loader_threads": 1}
)


@pytest.mark.usefixtures("one_thread", "no_mlflow")
def test_each_stage_gives_what_it_gave(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow_server: str
) -> None:
    monkeypatch.setenv("SIAMESE_BACKEND", "torch")
    _write_storm(tmp_path)
    with patch.object(AWSSession, "__init__", side_effect=AssertionError("GDAL makes a session, slower than its work")):
        made = _run(store, tmp_path, mlflow_server)
    if os.environ.get("SIAMESE_GOLDEN") == "write":
        FILE.write_text(json.dumps({"surroundings": _here(), "stages": made}, indent=1) + "\n")
    golden = json.loads(FILE.read_text())
    same_machine = golden["surroundings"] == _here()
    assert made.keys() == golden["stages"].keys() == declared_versions().keys()
    for stage, outputs in made.items():
        known = golden["stages"][stage]
        assert outputs["figures"], f"{stage}: nothing checks it on other machines"
        assert outputs["figures"] == pytest.approx(known["figures"], rel=0.02, abs=0.02), stage
        if same_machine or stage in EXACT:
            assert outputs["sha256"] == known["sha256"], f"{stage}: other bytes than before"


def _here() -> dict[str, Any]:
    return Surroundings.here().model_dump(mode="json", exclude={"python"})


def _run(store: ObjectStore, folder: Path, mlflow: str) -> dict[str, dict[str, Any]]:
    pairs = tiny_pairs(store)
    catalog = SceneCatalog.load(store, pairs.origin.sources["catalog"])
    scenes = list(read_catalog(store, catalog))
    training = TRAINING.model_copy(update={"precision": "fp32", "loader_threads": 1})
    checkpoint = train(pairs, NETWORK, training, store)
    evaluation = evaluate(checkpoint, pairs, EvaluationParams(split="val", resamples=10, workers=1), store)
    prints, described_ = described(catalog, store)
    twins = duplicates_of_catalog(catalog, store)
    pretrained = pretrain(pairs, NETWORK, PRETRAINING, store)
    integers = quantize(checkpoint, QuantizationParams(scenes=2), store).quantized
    assert integers is not None
    assert integers.changed is not None
    with patch.dict(os.environ, MLFLOW_TRACKING_URI=mlflow):
        version = register(checkpoint, evaluation, PromotionParams(model="golden"), store)
    return {
        "catalog": _known(
            "\n".join(f"{one.scene} {one.verdict} {one.width} {one.buildings} {one.bounds}" for one in scenes).encode(),
            accepted=catalog.accepted,
        ),
        "fingerprints": _known(
            b"".join(blob.sha256.encode() for blob in prints.shards),
            features=sum(len(one.points) for one in described_.values()),
        ),
        "duplicates": _known(twins.pairs.read(store), pairs=twins.count),
        "pair-set": _known(b"".join(blob.sha256.encode() for blob in pairs.shards), shards=len(pairs.shards)),
        "pretraining": _known(
            pretrained.weights.read(store),
            **_trained(pretrained, store),
            steps=pretrained.steps,
            spread=pretrained.spread,
        ),
        "checkpoint": _known(checkpoint.weights.read(store), **_trained(checkpoint, store)),
        "quantized": _known(
            b"".join(part.constants.read(store) for part in integers.parts),
            parts=len(integers.parts),
            changed=integers.changed,
        ),
        "evaluation": _known(evaluation.scores.model_dump_json().encode(), **evaluation.scores.model_dump()),
        "model-version": _known(
            f"{version.name} {version.version} {version.weights_sha256}".encode(),
            version=version.version,
            same_weights=version.weights_sha256 == checkpoint.weights.sha256,
        ),
        **_maps(scenes[0], checkpoint, store, folder),
        **_similarity(store, folder),
    }


def _storm(folder: Path) -> tuple[Path, Path]:
    return folder / "storm_pre.tif", folder / "storm_post.tif"


def _write_storm(folder: Path) -> None:
    """Writes imagery with buildings of every class."""
    images = pair(SIDE, SIDE, *layout())
    noise = np.random.default_rng(1).integers(0, 6, images[0].shape, np.uint8)
    for path, image in zip(_storm(folder), images, strict=True):
        write(path, image + noise)


def _maps(scene: Scene, checkpoint: Checkpoint, store: ObjectStore, folder: Path) -> dict[str, dict[str, Any]]:
    """The stages of maps: one by the tiny network, and one of a storm by a predictor that knows buildings by colour."""
    plain = MappingParams(tile_px=64, overlap_px=16, align=False, find_obscured=False)
    prediction = Prediction.load(store, str(map_scene(scene, checkpoint, plain, store).prediction))
    files = _storm(folder)
    made = map_pair(
        [str(files[0])], [str(files[1])], checkpoint, SMALL, store, predictor=Colours(), model="colours", event="storm"
    )
    buildings = BuildingSet.load(store, str(made.building_set))
    classes = _raster(buildings.classes, store)
    index = embed_map(made, EMBEDDING, store)
    vectors = np.array(pq.read_table(io.BytesIO(index.vectors.read(store)))["vector"].to_pylist(), np.float32)
    ids = pq.read_table(io.BytesIO(made.buildings.read(store)))["id"].to_pylist()
    told = [
        feature(None, name, id=ids[place]) for place, name in ((0, "destroyed"), (5, "no_damage"), (9, "destroyed"))
    ]
    labels = write_labels(folder / "labels.geojson", told)
    adapted = adapt_map(made, labels, AdaptationParams(), EMBEDDING, MappingParams(), store, author="Ana")
    sample = draw_sample(made, 12, AdaptationParams(), store)
    drawn = pq.read_table(io.BytesIO(sample.table.read(store))).to_pandas()
    judged = [feature(None, DAMAGE_CLASSES[place % 4], id=name) for place, name in enumerate(drawn.iloc[:, 0])]
    truth = write_labels(folder / "truth.geojson", judged)
    assessment = assess_map(made, sample, truth, AdaptationParams(), store, author="Ana")
    said = LabelSet.load(store, adapted.labels[0])
    cells = build_search_index(index, SearchParams(cells=2), store)
    confidence = _raster(made.products["confidence"], store)
    summary = made.products["summary"].read(store)
    damaged = pd.read_csv(io.BytesIO(summary), index_col="class").loc["damaged"]
    page = publish_page(made, made.products, ViewParams(AdaptationParams(), EMBEDDING), store)
    assert page is not None
    shown = _in_page(page.products["page"].read(store), "buildings.bin", "teach.bin")
    return {
        "prediction": _known(
            b"".join(block.data.sha256.encode() for block in prediction.blocks if block.data),
            blocks=len(prediction.blocks),
        ),
        "building-set": _known(
            classes.tobytes(),
            building_share=float(((classes > 0) & (classes < 255)).mean()),
            unknown=float((classes == 255).mean()),
        ),
        "damage-map": _known(made.buildings.read(store), width=made.width, height=made.height, **made.counts),
        "map-products": _known(
            confidence.tobytes() + summary,
            products=len(made.products),
            confidence=float(confidence.mean()),
            damaged=float(damaged["mapped"]),
            damaged_estimate=float(damaged["estimate"]),
        ),
        "embedding-index": _known(vectors.tobytes(), rows=len(vectors), elements=vectors.shape[1]),
        "search-index": _known(cells.cells.read(store), count=cells.count, dimension=cells.dimension),
        "label-set": _known(_csv(said.table, store), **said.counts),
        "map-page": _known(shown, bytes=len(shown)),
        "adapted-buildings": _known(adapted.buildings.read(store), buildings=sum(adapted.counts.values())),
        "assessment-sample": _known(drawn.to_csv().encode(), size=len(drawn)),
        # Which buildings are drawn depends on the map's digest, and so on the network's weights; how many does not.
        "assessment": _known(
            assessment.model_dump_json(include={"classes", "damaged", "accuracy", "macro_f1"}).encode(),
            sampled=assessment.sampled,
            mapped_damaged=assessment.damaged.mapped,
            labelled_damaged=assessment.damaged.labelled,
        ),
    }


def _similarity(store: ObjectStore, folder: Path) -> dict[str, dict[str, Any]]:
    items = pack_items(write_folder(folder / "items"), packing(), store)
    model = train_similarity(items, quick(epochs=2), store)
    assert model.threshold is not None
    evaluation = evaluate_similarity(model, items, SimilarityEvaluationParams(), store)
    return {
        "item-set": _known(items.items.read(store), used=items.used),
        "similarity-model": _known(
            model.weights.read(store), **_trained(model, store), threshold=model.threshold.distance
        ),
        "similarity-evaluation": _known(evaluation.scores.model_dump_json().encode(), auc=evaluation.scores.auc),
    }


def _known(data: bytes, **figures: float) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "figures": figures}


def _trained(made: Pretraining | Checkpoint | SimilarityModel, store: ObjectStore) -> dict[str, float]:
    weights = deserialize(made.weights.read(store), made.weights.uri)
    curves = pd.read_csv(io.BytesIO(made.curves.read(store)))
    return {
        "norm": float(np.sqrt(sum(float((tensor.float() ** 2).sum()) for tensor in weights.values()))),
        "loss": float(curves["loss"].iloc[-1]),
    }


def _csv(blob: Blob, store: ObjectStore) -> bytes:
    return pq.read_table(io.BytesIO(blob.read(store))).to_pandas().to_csv().encode()


def _in_page(page: bytes, *names: str) -> bytes:
    """Returns the files of that name in a page of one file."""
    found = [re.search(rb'id="file:' + name.encode() + rb'">([^<]*)<', page) for name in names]
    assert all(found), names
    return b"".join(base64.b64decode(one[1]) for one in found if one)


def _raster(blob: Blob, store: ObjectStore) -> np.ndarray:
    with local_gdal(), rasterio.MemoryFile(blob.read(store)) as memory, memory.open() as dataset:
        return dataset.read(1)
