"""The scene, maps of it, and what they show."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rasterio
from affine import Affine
from builders.made_rasters import SMALL, Colours, pair, write
from builders.placed_scenes import (
    BUILDINGS,
    SIDE,
    Image,
    Map,
)

from siamese.manifests import Checkpoint, DamageMap
from siamese.mapping import map_pair
from siamese.store import ObjectStore


@pytest.fixture
def scene() -> dict[str, Image]:
    """Both dates of the same ground, with a frame of it around."""
    return dict(zip(("pre", "post"), pair(SIDE, SIDE, *BUILDINGS), strict=True))


@pytest.fixture
def map_files(store: ObjectStore, checkpoint: Checkpoint) -> Map:
    """Maps files, with a predictor that knows buildings by their colour."""

    def mapped(pre: object, post: object, **options: object) -> DamageMap:
        params = SMALL.model_copy(update={"crs": options.pop("crs", None), "picture_px": 256})
        paths = ([str(one) for one in (date if isinstance(date, list) else [date])] for date in (pre, post))
        return map_pair(*paths, checkpoint, params, store, predictor=Colours(), **options)  # type: ignore[arg-type]

    return mapped


@pytest.fixture
def plain(scene: dict[str, Image], tmp_path: Path) -> dict[str, Path]:
    """Plain GeoTIFFs of both dates."""
    return {date: write(tmp_path / f"plain/{date}.tif", image) for date, image in scene.items()}


@pytest.fixture
def base(plain: dict[str, Path], map_files: Map) -> DamageMap:
    """Their map."""
    return map_files(plain["pre"], plain["post"])


@pytest.fixture
def classes(store: ObjectStore) -> Callable[[DamageMap], tuple[Image, Affine]]:
    """Reads the class raster of a map, and its place."""

    def read(made: DamageMap) -> tuple[Image, Affine]:
        with rasterio.open(io.BytesIO(made.classes.read(store))) as dataset:
            return dataset.read(1), dataset.transform

    return read


@pytest.fixture
def features(store: ObjectStore) -> Callable[[DamageMap], dict[str, Any]]:
    """Reads the GeoJSON of a map."""
    return lambda made: json.loads(made.geojson.read(store))
