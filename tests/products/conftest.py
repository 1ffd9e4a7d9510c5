"""A published map with buildings of every class, one of them unknown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.made_rasters import SMALL, Colours, pair, write
from embedding.conftest import checkpoint, make_checkpoint  # noqa: F401

from siamese.manifests import Checkpoint, DamageMap
from siamese.mapping import map_pair
from siamese.params import MappingParams
from siamese.store import ObjectStore

HOSTILE = "storm <script>alert(1)</script> & \"Ostwind\" 'ß' 台風"
SIDE = 224


def layout() -> list[tuple[int, int, int, int, int]]:
    """Row, column, height, width and damage class of each building."""
    places = [(row, col) for row in range(4, SIDE - 32, 42) for col in range(4, SIDE - 28, 31)]
    return [(row, col, 22, 20, number % 4) for number, (row, col) in enumerate(places)]


@pytest.fixture
def make_map(store: ObjectStore, checkpoint: Checkpoint, tmp_path: Path) -> Callable[..., DamageMap]:  # noqa: F811
    """Maps a made-up pair with a predictor that knows buildings by their colour."""

    def make(
        *, georeferenced: bool = True, event: str = "storm", params: MappingParams = SMALL, **place: object
    ) -> DamageMap:
        pre, post = pair(SIDE, SIDE, *layout())
        post[:, 196:] = 0
        noise = np.random.default_rng(1).integers(0, 6, pre.shape, np.uint8)
        where: dict[str, Any] = place if georeferenced else {"crs": None, "transform": None}
        files = [
            str(
                write(tmp_path / f"storm_{date}.tif", np.where(pixels > 0, pixels + noise, 0).astype(np.uint8), **where)
            )
            for date, pixels in (("pre", pre), ("post", post))
        ]
        return map_pair([files[0]], [files[1]], checkpoint, params, store, predictor=Colours(), event=event)

    return make


@pytest.fixture
def damage_map(make_map: Callable[..., DamageMap]) -> DamageMap:
    """The map."""
    return make_map()


@pytest.fixture
def brought(store: ObjectStore, tmp_path: Path) -> Callable[[DamageMap], dict[str, Path]]:
    """Copies all files of a map to a folder, by their name in the manifest."""

    def bring(made: DamageMap) -> dict[str, Path]:
        blobs = {"damage": made.classes, "buildings": made.buildings, "geojson": made.geojson} | made.products
        paths = {}
        for name, blob in blobs.items():
            paths[name] = tmp_path / "brought" / blob.uri.rsplit("/", 1)[-1]
            paths[name].parent.mkdir(exist_ok=True)
            paths[name].write_bytes(blob.read(store))
        return paths

    return bring
