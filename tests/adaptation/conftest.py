"""A map of 48 buildings, some of which its network takes for another class, and their vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.labelled import SIDE, layout
from builders.made_rasters import SMALL, Colours, pair, write
from embedding.conftest import checkpoint, make_checkpoint  # noqa: F401

from siamese.manifests import Checkpoint, DamageMap
from siamese.mapping import map_pair
from siamese.store import ObjectStore


@pytest.fixture
def make_map(
    store: ObjectStore,
    checkpoint: Checkpoint,  # noqa: F811
    tmp_path: Path,
) -> Callable[..., DamageMap]:
    """Maps a made-up pair with a predictor that knows buildings by their colour."""

    def make(*, georeferenced: bool = True, predictor: Colours | None = None) -> DamageMap:
        pre, post = pair(SIDE, SIDE, *layout())
        noise = np.random.default_rng(1).integers(0, 6, pre.shape, np.uint8)
        where: dict[str, Any] = {} if georeferenced else {"crs": None, "transform": None}
        files = [
            str(write(tmp_path / f"storm_{date}.tif", pixels + noise, **where))
            for date, pixels in (("pre", pre), ("post", post))
        ]
        network = predictor or Colours()
        return map_pair([files[0]], [files[1]], checkpoint, SMALL, store, predictor=network, event="storm")

    return make


@pytest.fixture
def damage_map(make_map: Callable[..., DamageMap]) -> DamageMap:
    """The map."""
    return make_map()
