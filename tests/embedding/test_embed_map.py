"""Vectors of the buildings of a map: one for each, in the map's order, whatever windows it was cut into."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from builders.made_rasters import SMALL, Colours, pair, write
from embedding.conftest import BUILDINGS

from siamese.embedding import embed_map, read_vectors
from siamese.embedding.asking import check_encoder
from siamese.errors import SiameseError
from siamese.manifests import Checkpoint, DamageMap
from siamese.mapping import map_pair
from siamese.params import EmbeddingParams
from siamese.store import ObjectStore

PARAMS = EmbeddingParams(window_px=128, margin_px=32)


def test_each_building_gets_one_vector_in_the_order_of_the_map(
    store: ObjectStore, make_map: Callable[..., DamageMap]
) -> None:
    made = make_map()
    index = embed_map(made, PARAMS, store)
    found = read_vectors(index, store)
    table = pq.read_table(io.BytesIO(made.buildings.read(store)))
    assert list(found.ids) == table["id"].to_pylist()
    assert len(found) == len(BUILDINGS) == index.count
    assert found.values.shape == (7, index.dimension)
    assert found.values.dtype == np.float32
    assert (np.abs(found.values).sum(axis=1) > 0).all()
    assert len(np.unique(found.values.round(4), axis=0)) == 7, "no two buildings are alike"
    assert list(index.parts) == [
        "pre/8",
        "post/8",
        "fused/8",
        "pre/16",
        "post/16",
        "fused/16",
        "decoded/16",
        "decoded/8",
    ]
    assert index.parts["decoded/8"][1] == index.dimension
    assert embed_map(made, PARAMS, store) == index, "it is made once"


def test_a_building_has_the_same_vector_however_the_map_is_cut(
    store: ObjectStore, make_map: Callable[..., DamageMap]
) -> None:
    whole = make_map(SMALL.model_copy(update={"tile_px": 512}), "whole")
    cut = make_map(SMALL.model_copy(update={"tile_px": 64, "overlap_px": 16}), "cut")
    assert len(cut.pre) == len(whole.pre) == 1
    one, other = (read_vectors(embed_map(made, PARAMS, store), store) for made in (whole, cut))
    assert set(one.ids) == set(other.ids)
    values = other.values[[other.position(name) for name in one.ids]]
    np.testing.assert_allclose(values, one.values, rtol=1e-4, atol=1e-5)


def test_another_encoder_sees_chips_of_both_dates(store: ObjectStore, make_map: Callable[..., DamageMap]) -> None:
    params = EmbeddingParams(encoder="test_resnet", chip_px=32)
    index = embed_map(make_map(), params, store)
    assert index.encoder.startswith("timm test_resnet ")
    assert list(index.parts) == ["pre", "post"]
    found = read_vectors(index, store)
    assert found.values.shape == (7, index.dimension)
    cut = make_map(SMALL.model_copy(update={"tile_px": 64, "overlap_px": 16}), "cut")
    other = read_vectors(embed_map(cut, params, store), store)
    np.testing.assert_allclose(other.values[other.position(found.ids[0])], found.values[0], rtol=1e-4, atol=1e-5)


def test_a_map_without_buildings_has_an_empty_index(
    store: ObjectStore, checkpoint: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pre, post = pair(128, 128)
    post += 1  # the same image twice is refused
    files = [str(write(tmp_path / f"{date}.tif", image)) for date, image in (("pre", pre), ("post", post))]
    made = map_pair([files[0]], [files[1]], checkpoint, SMALL, store, predictor=Colours(), event="desert")
    index = embed_map(made, PARAMS, store)
    assert (index.count, len(read_vectors(index, store))) == (0, 0)
    assert "desert) has no buildings; its index is empty" in caplog.text


def test_images_that_changed_are_refused(
    store: ObjectStore, make_map: Callable[..., DamageMap], images: tuple[str, str]
) -> None:
    made = make_map()
    pre, _ = pair(256, 256)
    write(Path(images[1]), pre)
    with pytest.raises(SiameseError, match=r"\(storm\): its images are missing or have changed \(post: .*post.tif"):
        embed_map(made, PARAMS, store)
    Path(images[1]).unlink()
    with pytest.raises(SiameseError, match="are missing or have changed"):
        embed_map(made, PARAMS, store)


def test_a_stride_that_the_network_has_not_is_named(store: ObjectStore, make_map: Callable[..., DamageMap]) -> None:
    with pytest.raises(SiameseError, match=r"embedding\.strides: the network has no features at stride 2"):
        embed_map(make_map(), EmbeddingParams(strides=(2,)), store)


def test_two_networks_give_two_indexes(
    store: ObjectStore, make_checkpoint: Callable[[int], Checkpoint], images: tuple[str, str]
) -> None:
    one, other = (
        embed_map(
            map_pair([images[0]], [images[1]], make_checkpoint(seed), SMALL, store, predictor=Colours()), PARAMS, store
        )
        for seed in (0, 1)
    )
    assert one.encoder != other.encoder
    assert one.digest != other.digest
    with pytest.raises(SiameseError, match=r"was made by checkpoint .*, not by checkpoint .* do not compare"):
        check_encoder(one, other.encoder)
