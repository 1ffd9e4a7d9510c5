"""Optical before and radar after, or four bands on both dates: from raw scenes to a map."""

from __future__ import annotations

import secrets
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from builders.made_rasters import read
from builders.tinytraining import SIDE, TRAINING, tiny_catalog

from siamese.classes import UNCLASSIFIED
from siamese.errors import SiameseError
from siamese.evaluation import evaluate
from siamese.ingest import ingest, read_catalog
from siamese.manifests import Checkpoint
from siamese.mapping import map_pair, map_scene
from siamese.model import Decision, Predictor, build_network, put_network
from siamese.pairs import build_pairs
from siamese.params import EvaluationParams, IngestParams, MappingParams, NetworkParams, PairsParams, TrainingParams
from siamese.store import ObjectStore, Origin, S3Uri, put_blob
from siamese.training import train

OPTICAL_RADAR = NetworkParams(
    relation="asymmetric", encoder="test_efficientnet", post_encoder="test_resnet", bands=3, post_bands=1,
    pretrained=False, decoder_channels=(8, 8), localization_channels=(8, 8),
)  # fmt: skip
FOUR = NetworkParams(
    encoder="test_resnet", bands=4, pretrained=False, decoder_channels=(8, 8), localization_channels=(8, 8)
)
WINDOWS = MappingParams(tile_px=96, overlap_px=32, minimum_building_m2=0, minimum_building_px=0)


@pytest.mark.parametrize(("network", "bands"), [(OPTICAL_RADAR, (3, 1)), (FOUR, (4, 4))])
def test_other_bands_go_from_raw_scenes_to_a_map(
    store: ObjectStore, network: NetworkParams, bands: tuple[int, int], tmp_path: Path
) -> None:
    catalog = tiny_catalog(store, scenes=4, bands=bands)
    rows = list(read_catalog(store, catalog))
    assert {(row.verdict, row.bands, row.post_bands) for row in rows} == {("accepted", *bands)}
    pairs = build_pairs(catalog, PairsParams(val_share=0.3, test_share=0, block_px=32), store)
    params = TrainingParams.model_validate(TRAINING.model_dump() | {"zoom": 0.3})
    checkpoint = train(pairs, network, params, store)
    assert checkpoint.validation is not None
    evaluation = evaluate(checkpoint, pairs, EvaluationParams(split="val", resamples=10), store)
    assert evaluation.scores.score == pytest.approx(checkpoint.validation.score)
    made = map_scene(rows[0], checkpoint, WINDOWS, store)
    assert made.crs is not None
    assert made.crs.startswith("EPSG:326"), "placed by the image that has a georeference"
    store.download(S3Uri.parse(made.classes.uri), tmp_path / "damage.tif")
    classes = read(tmp_path / "damage.tif")
    assert classes.size >= SIDE * SIDE
    assert set(np.unique(classes)) <= {0, 1, 2, 3, 4, UNCLASSIFIED}

    wrong = network.model_copy(update={"relation": "classic", "post_encoder": None, "post_bands": None, "bands": 2})
    told = f"quake_0000000\\d: has bands {bands[0]} before and {bands[1]} after; this network takes 2 and 2"
    with pytest.raises(SiameseError, match=told):
        train(pairs, wrong, params, store)
    with pytest.raises(SiameseError, match=told):
        evaluate(untrained(store, wrong), pairs, EvaluationParams(split="val", resamples=10), store)
    many = network.model_copy(update={"relation": "asymmetric", "post_encoder": None, "post_bands": 5})
    with pytest.raises(SiameseError, match=rf"_post_disaster\.tif: has {bands[1]} bands?, not 5"):
        map_scene(rows[0], untrained(store, many), WINDOWS, store)


def test_real_optical_and_radar_images_are_mapped(store: ObjectStore, real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "optical_sar"
    if not folder.is_dir():
        pytest.skip(f"no optical and radar pair at {folder}")
    pre, post = (next(folder.glob(f"*_{date}_*.tif")) for date in ("pre", "post"))
    with rasterio.open(pre) as before, rasterio.open(post) as after:
        optical, radar = np.moveaxis(before.read(), 0, -1), np.moveaxis(after.read(), 0, -1)
        crs = after.crs.to_string()
    for path, date in ((pre, "pre"), (post, "post")):
        name = f"la-palma-volcano_00000279_{date}_disaster.tif"
        store.put(store.raw / "radar" / "images" / name, path.read_bytes())
    (row,) = read_catalog(store, ingest(store.raw / "radar", IngestParams(bands=(3, 1)), store))
    assert (row.verdict, row.bands, row.post_bands, row.georeference) == ("unlabelled", 3, 1, "geotiff")
    middle = np.s_[384:640, 384:640]
    torch.manual_seed(0)
    likely = Predictor(build_network(OPTICAL_RADAR).eval(), Decision()).predict(optical[middle], radar[middle])
    threshold = float(np.quantile(likely.building, 0.95))
    decision = Decision(building=threshold, damaged_building=threshold)
    made = map_pair([str(pre)], [str(post)], untrained(store, OPTICAL_RADAR, decision), MappingParams(), store)
    store.download(S3Uri.parse(made.classes.uri), tmp_path / "damage.tif")
    classes = read(tmp_path / "damage.tif")
    assert (made.crs, classes.shape) == (crs, radar.shape[:2])
    unseen = (radar[..., 0] == 0) | ~optical.any(2)
    assert (classes[unseen] == UNCLASSIFIED).all(), "nodata 0 of either date is unknown"
    assert unseen.mean() <= made.unknown_share < 0.5
    assert sum(made.counts.values()) > 0


def untrained(store: ObjectStore, network: NetworkParams, decision: Decision | None = None) -> Checkpoint:
    """A checkpoint of random weights, always the same."""
    torch.manual_seed(0)
    weights = build_network(network).state_dict()
    origin = Origin(digest=secrets.token_hex(8), inputs={}, params={}, code="0")
    folder = Checkpoint.folder(store, origin.digest)
    tensors, config = put_network(store, folder, weights, network, decision or Decision(), "random")
    curves = put_blob(store, folder, "curves.csv", b"epoch\n")
    return Checkpoint(
        origin=origin,
        weights=tensors,
        network=config,
        curves=curves,
        pairs="1" * 16,
        epochs=1,
        best_epoch=1,
        run_id=None,
    ).publish(store)
